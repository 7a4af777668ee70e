"""An evaluation from folders to a report: what it measures, what it says where something is missing, what it leaves alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from counterpoint import cli
from counterpoint.data.corpus.corpus import compose_corpus
from counterpoint.embedders.weights import digest_of_tensors
from counterpoint.evaluation import ears
from counterpoint.evaluation.evaluation import Settings, evaluate
from counterpoint.evaluation.evidence import Evidence
from counterpoint.evaluation.families import FAMILIES
from counterpoint.evaluation.features import Cache, Conditions
from counterpoint.evaluation.hearing import from_arrays, of_score, to_arrays
from counterpoint.evaluation.report import Report
from counterpoint.evaluation.sets import first, gather, pairs
from counterpoint.metrics.base import Score

CLIPS, SECONDS = 6, 4.0


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "real"
    compose_corpus(out, CLIPS * SECONDS / 3600, seed=4711, seconds=SECONDS, sample_rate=16000)
    return out


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def made(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus with noise on it, without what is known of it."""
    folder = tmp_path_factory.mktemp("made") / "made"
    folder.mkdir()
    for i, path in enumerate(sorted(corpus.rglob("*.flac"))):
        sound, rate = soundfile.read(path)
        noise = np.random.default_rng(i).standard_normal(len(sound)) * 0.01
        soundfile.write(folder / path.name, 0.5 * sound + noise, rate)
    return folder


@pytest.fixture(scope="module")
def whole(made: Path, corpus: Path, cache: Path) -> Report:
    metrics = (
        "frechet",
        "frechet-inf",
        "kad",
        "per-song",
        "chords",
        "key",
        "tempo",
        "beats",
        "drums",
        "melody",
        "reconstruction",
    )
    return evaluate(gather(made), gather(corpus), Settings(metrics, ("logmel",), cache=cache))


def scores(report: Report) -> dict[str, Score]:
    return {score.name: score for score in report.scores}


def test_every_figure_has_an_interval_round_it_a_count_and_chance(whole: Report) -> None:
    found = scores(whole)
    assert len(found) == len(whole.scores) > 20
    for name in ("chord_overlap_majmin", "tempo_acc2", "downbeat_f1", "melody_argmax", "si_snr", "log_mel_distance"):
        score = found[name]
        assert score.low <= score.value <= score.high and 0 < score.n <= CLIPS, name
        better = score.value > score.floor if score.better == "higher" else score.value < score.floor
        assert better, f"{name} is no better than chance"
    assert found["frechet (logmel)"].value >= 0 and found["frechet (logmel)"].n == CLIPS


def test_music_with_a_little_noise_is_still_that_music(whole: Report) -> None:
    found = scores(whole)
    assert found["tempo_acc2"].value >= 0.8 and found["key"].value >= 0.8
    assert found["chord_overlap_majmin"].value == pytest.approx(found["chord_overlap_majmin"].ceiling, abs=0.15)
    assert 10 < found["si_snr"].value < 40, "half as loud, which SI-SNR does not mind, with noise 20 dB or so below"


def test_exact_scores_and_what_is_heard_in_the_reference_are_two_targets(made: Path, corpus: Path, cache: Path) -> None:
    heard = evaluate(gather(corpus), gather(corpus), Settings(("chords", "beats"), labels="heard", cache=cache))
    assert all(score.value == 1 for score in heard.scores if score.n), "a set against itself"
    exact = evaluate(gather(corpus), gather(corpus), Settings(("chords", "beats"), labels="exact", cache=cache))
    assert all(score.value == score.ceiling < 1 for score in exact.scores if score.name.startswith("beat"))
    assert heard.protocol_id != exact.protocol_id


def test_the_protocol_is_of_all_but_the_made_clips(made: Path, corpus: Path, cache: Path) -> None:
    def protocol(source: Path, against: Path = corpus, **settings: object) -> str:
        return evaluate(
            gather(source), gather(against), Settings(("frechet",), ("logmel",), cache=cache, **settings)
        ).protocol_id

    first = protocol(made)
    assert first == protocol(corpus)
    assert len({first, protocol(made, made), protocol(made, loudness=-20.0), protocol(made, seconds=2.0)}) == 4


def test_two_processes_find_the_same(made: Path, corpus: Path, cache: Path, tmp_path: Path) -> None:
    settings = Settings(("frechet", "beats"), ("logmel",), workers=2, cache=tmp_path)
    alone = evaluate(gather(made), gather(corpus), Settings(("frechet", "beats"), ("logmel",), cache=cache))
    together = evaluate(gather(made), gather(corpus), settings)
    assert json.dumps(together.to_dict()) == json.dumps(alone.to_dict())


def test_clips_of_no_use_are_named_and_the_rest_is_kept(made: Path, corpus: Path, cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(made, folder)
    sound, rate = soundfile.read(next(iter(sorted(made.iterdir()))))
    soundfile.write(folder / "other-rate.wav", np.stack([sound, sound], axis=1)[: 3 * rate], 22050)
    soundfile.write(folder / "silent.wav", np.zeros(rate * 3), rate)
    soundfile.write(folder / "nan.wav", np.full(rate * 3, np.nan, dtype=np.float32), rate, "FLOAT")
    (folder / "corrupt.wav").write_bytes(b"RIFF" + bytes(60))
    report = evaluate(gather(folder), gather(corpus), Settings(("frechet",), ("logmel",), cache=cache))
    assert report.scores[0].n == CLIPS + 1 and np.isfinite(report.scores[0].value)
    skipped = {entry["file"] for entry in report.made["skipped"]}  # type: ignore[union-attr]
    assert skipped == {"silent.wav", "nan.wav", "corrupt.wav"}
    assert any("3 files of the made set are left out" in warning for warning in report.warnings)
    assert any("7 and 6 clips" in warning for warning in report.warnings)
    assert any("6 of 7 made clips have a partner" in warning for warning in report.warnings)


def test_one_clip_is_measured_and_says_so(made: Path, corpus: Path, cache: Path) -> None:
    report = evaluate(gather(made, most=1), gather(corpus), Settings(("frechet", "chords"), ("logmel",), cache=cache))
    found = scores(report)
    assert found["chord_overlap_majmin"].n == 1 and np.isnan(found["chord_overlap_majmin"].low)
    assert any("one clip" in note for note in found["frechet (logmel)"].notes)
    assert any("shuffled" in note for note in found["chord_overlap_majmin"].notes)


def test_what_is_asked_for_and_cannot_be_had_is_one_sentence(made: Path, corpus: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frechet needs a reference; give --against"):
        evaluate(gather(made), None, Settings(("frechet",), cache=cache))
    with pytest.raises(ValueError, match="text needs captions"):
        evaluate(gather(made), None, Settings(("text",), cache=cache))
    with pytest.raises(ValueError, match="no metric 'fad'"):
        Settings(("fad",))
    with pytest.raises(ValueError, match="no embedder 'vgish'"):
        evaluate(gather(made), gather(corpus), Settings(("frechet",), ("vgish",), cache=cache))
    with pytest.raises(ValueError, match="vggish needs its weights"):
        evaluate(gather(made), gather(corpus), Settings(("frechet",), ("vggish",), cache=cache))
    strangers = tmp_path / "strangers"
    strangers.mkdir()
    shutil.copy(next(iter(sorted(made.iterdir()))), strangers / "unheard-of.flac")
    with pytest.raises(ValueError, match="chords needs a reference clip of the same id"):
        evaluate(gather(strangers), gather(corpus), Settings(("chords",), cache=cache))


def test_without_metrics_all_usual_ones_are_taken_that_can_be_had(made: Path, cache: Path, corpus: Path) -> None:
    report = evaluate(gather(made, most=3), gather(corpus), Settings(ears=("logmel",), cache=cache))
    taken = set(report.protocol["metrics"])  # type: ignore[call-overload]
    assert taken == {name for name, family in FAMILIES.items() if family.usual} - {
        "kl",
        "inception",
        "text",
        "aesthetics",
        "seams",
    }
    assert any("text is left out, as it needs an ear that reads" in warning for warning in report.warnings)


def test_what_is_heard_is_kept_and_read_back(corpus: Path) -> None:
    for member in gather(corpus).members[:3]:
        assert member.score is not None
        heard = of_score(member.score)
        again = from_arrays(to_arrays(heard))
        assert np.array_equal(heard.melody, again.melody)
        assert vars(again) | {"melody": 0} == vars(heard) | {"melody": 0}


def test_a_perfect_ear_hears_the_score(corpus: Path) -> None:
    (member, *_) = gather(corpus).members
    assert member.score is not None
    heard = of_score(member.score)
    assert heard.tempo == member.score.bpm and heard.key == member.score.key and heard.chords == member.score.chords
    assert set(heard.downbeats) <= set(heard.beats) and len(heard.melody) == round(SECONDS * 50)
    kit = member.score.track("drums")
    struck = sorted({note.start for note in kit.notes if note.start < SECONDS}) if kit else []
    assert len(heard.drums["any"]) <= len(struck) and (not struck or heard.drums["any"][0] == struck[0])


def test_clips_that_are_cut_are_compared_with_scores_that_are_cut(corpus: Path, cache: Path) -> None:
    metrics = ("beats", "drums", "chords")
    cut = scores(evaluate(gather(corpus), gather(corpus), Settings(metrics, seconds=2.5, cache=cache)))
    whole = scores(evaluate(gather(corpus), gather(corpus), Settings(metrics, cache=cache)))
    for name in ("beat_f1", "drum_onset_f1", "chord_overlap_majmin"):
        assert cut[name].value > whole[name].value - 0.15, name


def test_clips_that_sound_alike_keep_their_own_captions_and_partners(corpus: Path, cache: Path, tmp_path: Path) -> None:
    real, one = gather(corpus, most=3), next(iter(sorted(corpus.rglob("*.flac"))))
    for member in real.members:
        shutil.copy(one, tmp_path / f"{member.id}.flac")
    evidence = Evidence(gather(tmp_path), real, {}, Cache(cache, Conditions()))
    assert [caption for _, caption in evidence.captions] == [member.captions[0] for member in real.members]
    assert len({caption for _, caption in evidence.captions}) == 3


def test_clips_of_one_name_have_no_partner_that_is_known(made: Path, tmp_path: Path) -> None:
    path = next(iter(sorted(made.iterdir())))
    for place in ("a/x.flac", "b/x.flac", "c/y.flac"):
        (tmp_path / "real" / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "real" / place)
    (tmp_path / "made").mkdir()
    shutil.copy(path, tmp_path / "made" / "x.flac")
    with pytest.raises(ValueError, match="2 clips of a set are called 'x'"):
        pairs(gather(tmp_path / "made"), gather(tmp_path / "real"))
    shutil.copy(path, tmp_path / "real" / "a" / "x.wav")
    with pytest.raises(ValueError, match=r"both called a/x"):
        gather(tmp_path / "real")


def test_the_first_clips_are_those_that_have_partners(made: Path, corpus: Path, tmp_path: Path) -> None:
    for name in ("000003.flac", "000004.flac"):
        shutil.copy(made / name, tmp_path / name)
    ours, theirs = first(gather(tmp_path), gather(corpus), 1)
    assert theirs is not None and [m.id for m in ours.members] == [m.id for m in theirs.members] == ["000003"]


def test_a_clip_of_no_use_spoils_no_pair_but_its_own(made: Path, corpus: Path, cache: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "made")
    sound, rate = soundfile.read(tmp_path / "made" / "000001.flac")
    soundfile.write(tmp_path / "made" / "000001.flac", np.zeros_like(sound), rate)
    report = evaluate(gather(tmp_path / "made"), gather(corpus), Settings(("reconstruction",), cache=cache))
    assert scores(report)["si_snr"].n == CLIPS - 1


def test_seams_are_heard_beside_what_untouched_music_scores(made: Path, corpus: Path, cache: Path, tmp_path: Path) -> None:
    folder, files = tmp_path / "made", sorted(corpus.rglob("*.flac"))
    folder.mkdir()
    for i, path in enumerate(files[:3]):
        (sound, rate), (other, _) = soundfile.read(path), soundfile.read(files[i + 1])
        sound[rate : 3 * rate] = 2 * other[rate : 3 * rate]
        soundfile.write(folder / path.name, np.clip(sound, -1, 1), rate)
    spans = {path.stem: (1.0, 3.0) for path in files[:3]}
    report = evaluate(gather(folder), gather(corpus), Settings(("seams",), cache=cache), spans)
    found = scores(report)
    assert found["seam_level_ratio"].value > found["seam_level_ratio"].ceiling and found["audible_seams"].value > 0.5
    assert found["kept_exactly"].value > 60
    with pytest.raises(ValueError, match="no span is that of a made clip"):
        evaluate(gather(folder), gather(corpus), Settings(("seams",), cache=cache), {"stranger": (1.0, 2.0)})
    whole = evaluate(gather(folder), gather(corpus), Settings(("seams",), cache=cache), {files[0].stem: (0.0, SECONDS)})
    assert np.isnan(scores(whole)["audible_seams"].value), "no seam is heard where none is"
    assert whole.protocol_id != report.protocol_id


def test_what_a_reference_is_labelled_by_is_told(made: Path, corpus: Path, cache: Path) -> None:
    plain = evaluate(gather(corpus), gather(made), Settings(("beats",), cache=cache))
    assert plain.protocol["labels"] == {"exact": 0, "heard": CLIPS}
    assert any("6 of 6 reference clips have no exact score" in warning for warning in plain.warnings)


def test_a_codecs_identity_is_of_its_tokens_too(made: Path, cache: Path) -> None:
    ear, codec = ears._codec("spectral-tiny")
    before = ear.identity
    with torch.no_grad():
        next(iter(codec.token_state().values())).add_(1.0)
    assert digest_of_tensors({**codec.frame_state(), **codec.token_state()}) not in before


# The command ----------------------------------------------------------------------------------------------------------


def run(*words: object) -> int:
    return cli.run(["evaluate", *map(str, words)])


def test_the_command_writes_a_report_and_nothing_else(
    made: Path, corpus: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [(path, path.stat().st_mtime_ns) for folder in (made, corpus) for path in sorted(folder.rglob("*"))]
    out = tmp_path / "r" / "report.json"
    asked = ("--metrics", "frechet, chords", "--embedder", "logmel", "--cache", cache, "-o", out)
    assert run(made, "--against", corpus, *asked) == 0
    content = json.loads(out.read_text())
    assert content["scores"][0]["name"] == "frechet (logmel)" and content["protocol_id"]
    told = capsys.readouterr().out
    assert "chord_iou_majmin" in told and content["protocol_id"] in told
    assert before == [(path, path.stat().st_mtime_ns) for folder in (made, corpus) for path in sorted(folder.rglob("*"))]


def test_a_model_is_asked_for_the_references_captions(
    tiny_model: Path, corpus: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    asked = ("--clips", 2, "--seconds", 2, "--steps", 1, "--metrics", "tempo", "--cache", cache, "-o", out, "--plan", "given")
    assert run(tiny_model, "--against", corpus, *asked) == 0
    (folder,) = tmp_path.glob(f"made-{tiny_model.name}-*")
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["000000", "000001"]
    assert json.loads(out.read_text())["made"]["clips"] == 2
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*.flac")}
    assert len(times) == 2 and run(tiny_model, "--against", corpus, *asked) == 0
    assert times == {path: path.stat().st_mtime_ns for path in folder.glob("*.flac")}, "made once"


def test_what_a_model_makes_goes_into_no_folder_of_others(
    tiny_model: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs"
    shutil.copytree(corpus, theirs)
    before = (theirs / "metadata.jsonl").read_bytes()
    asked = ("--against", corpus, "--clips", 1, "--metrics", "tempo", "-o", tmp_path / "r.json")
    assert run(tiny_model, *asked, "--made", theirs) == 2 and "were not made here" in capsys.readouterr().err
    assert run("spectral-tiny", "--against", corpus, "--made", theirs, "-o", tmp_path / "r.json") == 2
    assert (theirs / "metadata.jsonl").read_bytes() == before


def test_prompts_of_ones_own_have_no_partners(
    tiny_model: Path, corpus: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.txt").write_text("a slow waltz\n")
    asked = ("--against", corpus, "--prompts", tmp_path / "p.txt", "--seconds", 2, "--steps", 1, "--cache", cache)
    assert run(tiny_model, *asked, "--metrics", "tempo", "-o", tmp_path / "r.json") == 2
    assert "a reference clip of the same id" in capsys.readouterr().err


def test_a_codec_is_measured_by_what_it_gives_back(made: Path, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    assert run("spectral-tiny", "--against", made, "--cache", cache, "--clips", 3, "-o", out) == 0
    found = {entry["name"]: entry for entry in json.loads(out.read_text())["scores"]}
    assert found["log_mel_distance"]["value"] < 0.7 * found["log_mel_distance"]["floor"]
    assert found["bitrate (codec=spectral-tiny)"]["value"] > found["entropy (codec=spectral-tiny)"]["value"] > 0
    spread = [entry for name, entry in found.items() if "perplexity" in name]
    assert spread and all(1 < entry["value"] <= 1024 and entry["low"] < entry["value"] < entry["high"] for entry in spread)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("made-spectral-tiny-*/*.flac")}
    assert len(times) == 3 and run("spectral-tiny", "--against", made, "--cache", cache, "--clips", 3, "-o", out) == 0
    assert times == {path: path.stat().st_mtime_ns for path in times}, "coded once"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("{made}", "--metrics", "frechet"), "needs a reference"),
        (("{made}", "--against", "{made}", "--metrics", "nonsense"), "no metric 'nonsense'"),
        (("{made}", "--against", "{made}", "--prompts", "p.txt"), "--prompts would mean nothing"),
        (("{made}", "--against", "{made}", "--steps", "3"), "--steps would mean nothing"),
        (("{made}", "--against", "nowhere"), "no folder nowhere"),
        (("nosuch",), "no model 'nosuch'"),
        (("jasco-tiny",), "say what to ask it for"),
        (("spectral-tiny",), "say what it is to give back"),
        (("spectral-tiny", "--against", "{made}", "--plan", "none"), "leave --plan out"),
        (("{made}", "--against", "{made}", "--loudness", "3"), "3 LUFS"),
        (("{made}", "--against", "{made}", "--clips", "0"), "0 clips cannot"),
        (("{made}", "--against", "{made}", "--metrics", "key", "--embedder", "logmel"), "without an embedder"),
        (("{made}", "--against", "{made}", "--metrics", "key", "--spans", "{made}"), "Only the metric seams"),
        (("{made}", "--against", "{made}", "--spans", "{made}"), "tells no spans"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: tuple[str, ...], complaint: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    assert run(*(word.format(made=made) for word in words), "-o", out) == 2
    told = capsys.readouterr().err
    assert complaint in told and told.count("\n") == 1 and not out.exists()
