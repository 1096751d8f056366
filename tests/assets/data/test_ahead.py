"""Images are read and rows are made in other threads: the order, what is raised, and how far ahead."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from assets.data.images import ahead


def counted(asked: list[int], count: int, *, broken_at: int = -1) -> Iterator[int]:
    for number in range(count):
        if number == broken_at:
            raise RuntimeError("no more")
        asked.append(number)
        yield number


def test_results_come_in_order_whichever_is_ready_first() -> None:
    second = threading.Event()

    def square(number: int) -> int:
        if number == 0:
            assert second.wait(10)
        elif number == 1:
            second.set()
        return number * number

    with ThreadPoolExecutor(2) as pool:
        assert list(ahead(pool, square, range(6), at_most=3)) == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("at_most", [0, 1, 4])
def test_so_many_are_asked_for_ahead_and_no_more(at_most: int) -> None:
    asked: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        results = ahead(pool, str, counted(asked, 20), at_most=at_most)
        assert next(results) == "0"
        assert asked == list(range(at_most + 1))
        assert next(results) == "1"
        assert len(asked) == at_most + 2


def test_what_is_raised_comes_in_its_place() -> None:
    with ThreadPoolExecutor(2) as pool:
        results = ahead(pool, str, counted([], 9, broken_at=3), at_most=8)
        assert [next(results) for _ in range(3)] == ["0", "1", "2"]
        with pytest.raises(RuntimeError, match="no more"):
            next(results)
        quotients = ahead(pool, lambda number: 12 // (3 - number), range(9), at_most=4)
        assert [next(quotients) for _ in range(3)] == [4, 6, 12]
        with pytest.raises(ZeroDivisionError):
            next(quotients)
