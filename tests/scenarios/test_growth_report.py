"""What grew and what fell asleep is told by the report, the metrics and the command line."""

import json
from pathlib import Path

import pytest

from tests.commands import status
from tests.small import flags

GROWING = flags(experts__rounds=2, growth__sizes="[{width=0.25},{}]", growth__residual=9.0, plasticity__samples=4)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_report_tells_what_grew_and_how_much_is_dormant():
    assert status("compare", "digits", "--quiet", "--methods", "world", "--out", "run", *GROWING) == 0
    page = Path("run/report.html").read_text()
    growth, plasticity = (
        page.split(f'<section id="{name}">')[1].split("</section>")[0] for name in ("growth", "plasticity")
    )
    assert all(f"region {region} grew to 100 % of its width" in growth for region in range(5))
    assert plasticity.count("<tr>") == 1 + 2 + 2  # the names, the prior's rounds and the experts'
    assert plasticity.count("prior") == 2


def test_the_command_line_and_the_metrics_tell_it_too(capsys):
    assert status("simulate", "digits", "--json", "--out", "run", *GROWING) == 0
    told = [f"region {region} grew to 100 % of its width" for region in range(5)]
    assert sorted(json.loads(capsys.readouterr().out)["grown"]) == told
    rounds = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    experts = [record for record in rounds if record["phase"] == "experts"]
    assert [sorted(record["grown"]) for record in experts] == [told, []]
    assert [sorted(record["dormant"]) for record in experts] == 2 * [list("01234")]
    assert experts[1]["parameters"] == rounds[-1]["parameters"] > 0
