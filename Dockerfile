# One image for the pages, the daemon, the code server and the workers of a cluster; see docs/deploying.md.
FROM python:3.11-slim

RUN apt-get update \
  && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 make \
  && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 wordmask \
  && install --directory --owner=wordmask --group=wordmask /srv/wordmask /srv/home
USER wordmask
WORKDIR /srv/wordmask
COPY --chown=wordmask:wordmask Makefile pyproject.toml requirements.lock README.md ./
COPY --chown=wordmask:wordmask pipelines pipelines
COPY --chown=wordmask:wordmask assets assets
COPY --chown=wordmask:wordmask ops ops
COPY --chown=wordmask:wordmask resources resources
COPY --chown=wordmask:wordmask storage storage
COPY --chown=wordmask:wordmask workspace.yaml ./
RUN make setup
ENV PATH=/srv/wordmask/.venv/bin:$PATH WORDMASK_HOME=/srv/home PYTHONPATH=/srv/wordmask
VOLUME /srv/home
CMD ["wordmask", "doctor"]
