"""The report: one file, complete, that asks for nothing from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from nnmd_graph.data import AtomsDataset
from nnmd_graph.evaluation import evaluate, parity, predict, write_report
from nnmd_graph.models import Potential


class Page(HTMLParser):
    """Collects tags with their attributes and the text, and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_report_of_a_run(potential: Potential, dataset: AtomsDataset, tmp_path: Path) -> None:
    metrics = evaluate(potential, dataset, groups="config_type")
    parity(predict(potential, dataset), tmp_path / "parity_test.png")
    (tmp_path / "config.yaml").write_text("cutoff: 4.0  # Å\n", encoding="utf-8")
    path = write_report(
        tmp_path,
        metrics={"test": metrics},
        facts={"elements": "Cu, O", "parameters": 123},
        title="CuO <&>",
    )
    assert path == tmp_path / "report.html"
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.links and all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not re.search(r"(https?:)?//|@import|url\(", re.sub(r"base64,[^\"]*", "", text))
    words = " ".join(page.words)
    for part in ("CuO <&>", "meV/atom", "meV/Å", "RMSE", "molecule", "cutoff: 4.0", "123", "torch"):
        assert part in words
    assert f"{metrics['energy_mae']:.3g}"[:3] in words


def test_figures_in_memory_and_settings_as_a_mapping(tmp_path: Path) -> None:
    figure = Figure()
    path = write_report(tmp_path / "new", figures={"nothing": figure}, config={"cutoff": 4.0})
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.links) == 1
    assert "cutoff: 4.0" in " ".join(page.words)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_an_empty_report_has_the_versions(tmp_path: Path) -> None:
    words = " ".join(Page(write_report(tmp_path).read_text(encoding="utf-8")).words)
    assert "Versions" in words and "Errors" not in words


def test_a_figure_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`figures`.*none.png"):
        write_report(tmp_path, figures={"x": tmp_path / "none.png"})
    assert not (tmp_path / "report.html").exists()
