"""The one exception that means "this input cannot be served", and never a mistake in the code."""


class Refused(ValueError):  # noqa: N818  what happened, not a mistake in the code
    """An input, or a model asked about it, cannot be served; the message says why and what to do.

    Where the input is one image of many, the image is quarantined with this reason and the rest goes on; elsewhere the
    stage ends with it, without being tried again. What else a person has to
    act on is listed in `assets.framework.failures`; the rest is a bug and ends with its traceback.
    """
