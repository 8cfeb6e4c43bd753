"""What a script leaves behind is the same with lived as with DVCLive, and DVCLive's own trees are comparable."""

from __future__ import annotations

from pathlib import Path

import pytest
from compare import compare_data, differences
from harness import ALL, Scenario, environment, experiments, run

#: The module of the Live class under test, and what is set besides. DVCLive against itself tests the comparison.
MODULES = {
    "dvclive": ("dvclive", {}),
    "lived": ("lived.dvclive", {}),
    "lived-sync": ("lived.dvclive", {"LIVED_SYNC": "1"}),
}


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[Scenario, Path]:
    """The trees that DVCLive wrote so far, one per scenario."""
    return {}


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: f"{scenario.name}-{scenario.repository or 'plain'}")
def test_the_tree_is_dvclives(
    scenario: Scenario,
    module: str,
    references: dict[Scenario, Path],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    lived_home: Path,
) -> None:
    """A scenario leaves the files that DVCLive leaves, with the same meaning, and as many experiments."""
    if scenario not in references:
        base = tmp_path_factory.mktemp("reference")
        run(scenario, base / "work", environment("dvclive", base / "home"))
        references[scenario] = base
    base = references[scenario]
    name, extra = MODULES[module]
    env = environment(name, lived_home, **extra)
    run(scenario, tmp_path / "work", env)
    found = differences(str(base / "work"), str(tmp_path / "work"))
    assert not found, "\n".join(found)
    if scenario.experiments:
        seen = experiments(tmp_path / "work", env)
        assert len(seen) == scenario.experiments
        expected = experiments(base / "work", environment("dvclive", base / "home"))
        assert compare_data(expected, seen) == []
