"""What `make test` leaves out today it runs on another day."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

spec = importlib.util.spec_from_file_location("the_conftest", Path(__file__).with_name("conftest.py"))
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)


class Item:
    def __init__(self, nodeid: str, days: int | None) -> None:
        self.nodeid, self.days = nodeid, days

    def get_closest_marker(self, name: str) -> object:
        return SimpleNamespace(args=(self.days,)) if name == "sampled" and self.days else None


def chosen(day: int | None) -> list[str]:
    """The tests of a day, of ten that take turns in three days and one that is always run."""
    items, left = [*(Item(f"a.py::test_claim[{i}]", 3) for i in range(10)), Item("a.py::test_rules", None)], []
    config = SimpleNamespace(
        option=SimpleNamespace(sample=day), hook=SimpleNamespace(pytest_deselected=lambda items: left.extend(items))
    )
    conftest.pytest_collection_modifyitems(config, items)
    assert len(items) + len(left) == 11
    return [item.nodeid for item in items]


@pytest.mark.parametrize("day", [1, 2, 364, 366])
def test_all_are_run_within_so_many_days(day: int) -> None:
    days = [chosen(day + i) for i in range(3)]
    assert sorted(set().union(*days)) == sorted(chosen(None))
    assert all("a.py::test_rules" in names and 4 <= len(names) <= 5 for names in days)
    assert chosen(day) == chosen(day), "a day's choice can be repeated"


def test_without_a_sample_everything_is_run() -> None:
    assert len(chosen(None)) == 11
    assert conftest.pytest_report_header(SimpleNamespace(option=SimpleNamespace(sample=None))) is None
    assert "day 12 (--sample 12 repeats it" in conftest.pytest_report_header(
        SimpleNamespace(option=SimpleNamespace(sample=12))
    )
