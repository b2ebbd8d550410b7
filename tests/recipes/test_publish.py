"""A preset of a run, with the figures that ``zoo evaluate`` gives."""

import pytest

import zoo
from recipes import publish
from zoo import hub
from zoo.errors import UserError


@pytest.fixture
def published(small_reader, line_folder, tmp_path, monkeypatch):
    """A function that publishes a small reader; gives what ``preset.json`` says."""
    small_reader.save(tmp_path / "run")
    (tmp_path / "card.md").write_text("# Mine\n\nFIGURES\n")
    (tmp_path / "notes.txt").write_text("of it")

    def publish_it(*more):
        publish.main(
            [
                str(tmp_path / "run"), "--name", "mine", "--card", str(tmp_path / "card.md"), "--description",
                "Reads.", "--licence", "CC0", "--output", str(tmp_path / "mine"), "--config", "dropout=0.5",
                "--asset", str(tmp_path / "notes.txt"), "--figure", "All", str(line_folder), "",
                "--figure", "A | B", str(line_folder), "book1|book2", "--beam-width 2", *more,
            ]
        )  # fmt: skip
        return hub.info(tmp_path / "mine")

    return publish_it


def test_the_card_has_the_figures(published, tmp_path, line_folder, capsys):
    about = published()
    assert "mine: All " in capsys.readouterr().out
    found = [(one["set"], one["metric"], one["samples"]) for one in about["figures"]]
    assert found == [("All", "cer", 20), ("All", "wer", 20), ("A | B", "cer", 10), ("A | B", "wer", 10)]
    task = zoo.load(tmp_path / "mine")
    report = task.evaluate(line_folder)
    assert about["figures"][0]["value"] == report["cer"] and about["figures"][1]["value"] == report["wer"]
    assert task.config.dropout == 0.5 and task.assets == {"notes.txt": b"of it"}
    cer = [one["value"] for one in about["figures"] if one["metric"] == "cer"]
    assert about["headline"] == ", ".join(
        f"{title} {value:.2%} character error rate"
        for title, value in zip(("All", "A | B"), cer, strict=True)
    )
    card = hub.card(tmp_path / "mine").splitlines()
    assert card[2] == "| set | samples | character error rate | word error rate | command |"
    command = f"zoo evaluate mine --data {line_folder.name} --only 'book1\\|book2' --beam-width 2"
    assert card[5].endswith(f" | `{command}` |") and len(card) == 6
    assert about["figures"][3]["command"] == command.replace("\\", "")


def test_the_headline_is_what_is_given(published):
    assert published("--headline", "Old print: all wrong")["headline"] == "Old print: all wrong"


def test_what_cannot_be_measured(published):
    with pytest.raises(UserError, match="None: zoo evaluate ended with status 2"):
        published("--figure", "None", "nowhere", "")
