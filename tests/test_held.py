"""Controls in requests: a plan is written under them, a model that knows them is told them, and nothing is silently ignored."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint import adherence, audio, config, midi, planning
from counterpoint.conditioners.chords import paint_chords
from counterpoint.controls.held import Held
from counterpoint.controls.told import values_of, windowed
from counterpoint.generation import Model, load
from counterpoint.hub import checkpoint
from counterpoint.metrics.harmony import chord_agreement
from counterpoint.music import QUALITIES, Chord, Controls, Key, Note, Score, chord_name
from counterpoint.request import ask, read
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig

CONTROLS = {"chords": {}, "melody": {}, "drums": {"blur": 3}, "tempo": {}, "key": {}}
TUNE = [(0.0, 0.5, 60), (0.5, 1.0, 64), (1.0, 2.0, 67)]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    """One that was trained without controls, and plays plans."""
    return load(tiny_model)


@pytest.fixture(scope="module", params=[JascoConfig, MusicgenConfig], ids=["flow", "autoregression"])
def told(request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """One that knows controls, and no plans."""
    kind = request.param
    settings = config.parse(kind, {**kind.tiny().model_dump(mode="json"), "controls": CONTROLS, "score": "none"})
    codec = checkpoint.load_codec(tiny_model)
    torch.manual_seed(0)
    system = settings.build(codec.spec)
    for parameter in system.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    folder = tmp_path_factory.mktemp("told") / settings.kind
    checkpoint.save(folder / "codec", codec, checkpoint.codec_manifest(codec.config, codec))
    checkpoint.save(folder, system, checkpoint.system_manifest(settings, system, codec), card="# told\n")
    return load(folder)


def planned(text: str, seconds: float = 8.0, **wishes: object) -> Score:
    return planning.make(text, seconds, 3, held=Held.of(ask(text, seconds, 3, "auto", wishes))).score


def test_a_plan_is_composed_over_the_chords_at_the_tempo() -> None:
    score = planned("a pop song", chords="C G Am F", tempo=120.0, transpose=2)
    assert score.bpm == 120.0 and [span.chord for span in score.chords] == [Chord.parse(c) for c in ("D", "A", "Bm", "G")]
    assert [span.start for span in score.chords] == [0.0, 2.0, 4.0, 6.0]
    timed = planned("a pop song", chords=[("C", 0.0), ("Em", 3.3), ("F", 5.0)])
    truth = Held.of(ask("a", 8.0, 0, "auto", {"chords": [("C", 0.0), ("Em", 3.3), ("F", 5.0)]})).lasting(8.0, None, None)
    assert truth.chords is not None and chord_agreement(timed.chords, truth.chords).overlap > 0.95


def test_a_plan_plays_the_given_tune_and_drums_and_bears_the_tune_out() -> None:
    score = planned("a pop song, 120 bpm", melody=TUNE, drums="kick: x... snare: ..x.")
    tune, kit = score.track("melody"), score.track("drums")
    assert tune is not None and kit is not None
    assert [(note.start, note.end, note.pitch) for note in tune.notes] == TUNE
    assert [note.start for note in kit.notes if note.pitch == 36] == [0.0, 2.0, 4.0, 6.0]
    first = next(span.chord for span in score.chords if span.chord is not None)
    assert {0, 4, 7} & set(first.pitch_classes) and score.key in (Key(0), Key(9, "minor"), Key(4, "minor"), Key(7))
    assert planned("a pop song, 120 bpm") == planned("a pop song, 120 bpm"), "without controls nothing changes"


def test_a_tune_alone_is_borne_by_chords_of_its_key_that_end_at_home() -> None:
    """Twinkle, twinkle: A and F are no roots here, but notes of F major."""
    pitches = [60, 60, 67, 67, 69, 69, 67, 67, 65, 65, 64, 64, 62, 62, 60, 60]
    score = planned("a pop song, 120 bpm", melody=[(i / 2, i / 2 + 0.45, pitch) for i, pitch in enumerate(pitches)])
    assert score.key == Key(0) and score.metre.name == "4/4"
    assert [chord_name(span.chord) for span in score.chords] == ["C", "F", "C", "F", "C", "G", "C"]
    minor = [(i / 2, i / 2 + 0.45, pitch) for i, pitch in enumerate([69, 72, 76, 76, 77, 76, 74, 71, 69, 68, 69, 69])]
    assert planned("a pop song, 120 bpm", melody=minor).chords[0].chord == Chord(9, "min")


def test_what_composes_goes_along_with_a_sound(tmp_path: Path) -> None:
    clicks = torch.zeros(1, 8 * 32000)
    for beat in range(16):
        clicks[0, beat * 16000 : beat * 16000 + 800] = 0.5 * torch.randn(800, generator=torch.Generator().manual_seed(beat))
    audio.write(tmp_path / "beat.wav", clicks, 32000)
    for given in (tmp_path / "beat.wav", str(tmp_path / "beat.wav")):
        plan = planning.make("a pop song", 8.0, 3, held=Held.of(ask("a pop song", 8.0, 3, "auto", {"drums": given})))
        assert plan.score.bpm == 120.0, "not half of it, which clicks alone may be heard as"
        assert (
            plan.note
            == f"beat.wav is heard at {plan.score.bpm:g} bpm, which what is composed takes; name a tempo if it is another"
        )
    named = planning.make("a song, 97 bpm", 8.0, 3, held=Held.of(ask("a song, 97 bpm", 8.0, 3, "auto", {"drums": given})))
    assert named.score.bpm == 97.0 and named.note == ""


def test_chords_late_in_bars_and_in_a_key_are_laid_out_as_they_are_said(tmp_path: Path) -> None:
    late = planned("a pop song", chords=[("C", 3.0)], tempo=120.0)
    assert next(span.start for span in late.chords if span.chord is not None) == pytest.approx(3.0)
    waltz = planned("a waltz", chords="C G", tempo=120.0)
    assert waltz.metre.name == "3/4" and [span.start for span in waltz.chords][:3] == [0.0, 1.5, 3.0]
    sharp = planned("a pop song", chords="F# | B | C#", tempo=120.0)
    assert [span.chord for span in sharp.chords][:3] == [Chord(6), Chord(11), Chord(1)]
    tune = planned("a pop song, 97 bpm")
    midi.write(tune, tmp_path / "tune.mid")
    assert planned("a folk song", melody=str(tmp_path / "tune.mid")).bpm == pytest.approx(97.0, abs=0.1)
    twice = planned("a pop song, 120 bpm", drums="kick: x... bd: x...").track("drums")
    assert twice is not None and len({(note.start, note.pitch) for note in twice.notes}) == len(twice.notes)


def test_a_model_without_controls_honours_them_by_its_plan(model: Model) -> None:
    take = model.generate("a pop song", 4.0, chords="C F", tempo=120.0, key="C major")
    assert take.score is not None and [span.chord for span in take.score.chords] == [Chord(0), Chord(5)]
    assert take.record["controls"] == {"chords": "C F", "tempo": 120.0, "key": "C major"}
    assert take.controls.chords == take.score.chords and take.controls.melody is None
    plain = model.generate("a pop song", 4.0, tempo=120.0, key="C major")
    assert not torch.equal(take.audio, plain.audio)


@pytest.mark.parametrize("wish", [{"chords": "C F"}, {"melody": TUNE}, {"drums": "kick: x..."}, {"tempo": 90.0}, {"key": "Em"}])
def test_a_model_that_knows_controls_hears_each_without_a_plan(told: Model, wish: dict) -> None:
    said = ask("slow piano, 120 bpm" if "tempo" not in wish else "slow piano", 2.0, 1, "none", wish)
    take, plain = next(told.takes(said)), told.generate(said.text, 2.0, 1, "none")
    assert take.score is None and not torch.equal(take.audio, plain.audio)
    assert torch.equal(take.audio, next(told.takes(said)).audio), "same request, same bytes"
    asked = adherence.asked_of(said.text, None, take.controls)
    assert asked != adherence.asked_of(said.text, None), "and the take is judged by it"


def test_windows_are_told_their_own_part(told: Model) -> None:
    spans = Held.of(ask("a", 4.0, 0, "none", {"chords": [("C", 0.0), ("G", 2.0)]})).lasting(4.0, None, None)
    values = values_of("a", None, spans, ("text", "chords"), told.codec, 100, None)
    parts = [windowed(values, here) for here in (slice(0, 60), slice(40, 100))]
    whole = paint_chords(spans.chords or (), told.codec.spec.rate, 100)
    assert [part["text"] for part in parts] == [["a"], ["a"]]
    assert (parts[0]["chords"][0] == whole[:60]).all() and (parts[1]["chords"][0] == whole[40:]).all()
    assert len(np.unique(whole)) == 2


@pytest.mark.parametrize(
    "wish",
    [
        {"chords": [(Chord.parse("Am7/G"), 0.0), (None, 1.0), ("Bb:maj7", np.float32(1.5))]},
        {"chords": [(0, Chord.parse("F#m7b5")), (np.int64(1), Chord.parse("C/E"))]},
        {"melody": [Note(0.0, 0.5, 60, 31), (0.5, 1.0, np.int64(64)), [np.float32(1.0), 2, 67, 120]]},
        {"drums": (Note(0.0, 0.1, 36, 127), Note(0.25, 0.3, 42, 40))},
    ],
)
def test_what_was_given_as_values_can_be_given_again_from_its_record(wish: dict) -> None:
    first = read({"text": "a song", **wish})
    again = read({"text": "a song", **json.loads(json.dumps(first.controls()))})
    assert Held.of(again).lasting(4.0, None, None) == Held.of(first).lasting(4.0, None, None)
    assert again.controls() == first.controls()


def test_every_chord_can_be_given_again_from_its_record() -> None:
    chords = [Chord(7, quality, bass) for quality in QUALITIES for bass in (None, *range(12))]
    told = read({"text": "a song", "chords": [(chord, float(i)) for i, chord in enumerate(chords)]}).controls()["chords"]
    assert [Chord.parse(label) for label, _ in told] == chords


def test_controls_of_a_score_are_what_it_plays() -> None:
    score = planned("a pop song, 120 bpm", melody=TUNE)
    controls = Controls.of_score(score)
    assert controls.melody == tuple(Note(*note, controls.melody[0].velocity) for note in TUNE) and controls.tempo == 120.0
    assert controls.only(("key",)) == Controls(key=score.key)


@pytest.mark.parametrize(
    ("text", "plan", "wishes", "message"),
    [
        ("a song", "none", {"chords": "C"}, r"was not trained with chords; let a plan have it \(--plan auto\)"),
        ("a song, 96 bpm", "auto", {"tempo": 120.0}, "The prompt says 96 bpm, but the tempo is to be 120 bpm"),
        ("a song in A minor", "auto", {"key": "C"}, "The prompt says A minor, but the key is to be C major"),
        ("a song", "auto", {"chords": "C Gmaj13"}, "'Gmaj13' is not known; the nearest are"),
        ("a song", "auto", {"melody": [(0.0, 1.0, 20)]}, "G2"),
        ("a song", "auto", {"transpose": 2}, "nothing to transpose"),
        ("a song in C major", "auto", {"chords": "C F", "transpose": 2}, "which transpose would leave"),
        ("a song", "auto", {"chords": "{key: G}\n[G]hi [C]there", "key": "C minor"}, "The chords are in G major"),
        ("a song", "auto", {"melody": "nowhere.mid"}, "There is no file nowhere.mid"),
        ("a song", "{plan}", {"chords": "C"}, "brings its own music, which chords may contradict"),
        ("a song", "auto", {"chords": 3}, "Chords are text such as"),
    ],
)
def test_what_cannot_be_honoured_is_one_sentence(
    model: Model, tmp_path: Path, text: str, plan: str, wishes: dict, message: str
) -> None:
    midi.write(planned("a pop song"), tmp_path / "plan.mid")
    with pytest.raises(ValueError, match=message) as error:
        model.generate(text, 4.0, 0, plan.format(plan=tmp_path / "plan.mid"), **wishes)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "wishes", "said"),
    [
        ("a pop song over | Am | F |", {"chords": "C G"}, "its own chords"),
        ("a pop song without drums", {"drums": "kick: x..."}, "players"),
    ],
)
def test_controls_that_overrule_words_are_told(model: Model, text: str, wishes: dict, said: str) -> None:
    assert said in model.generate(text, 2.0, 0, **wishes).record["note"]
    assert said not in model.generate("a pop song", 2.0, 0, **wishes).record["note"]


def test_notes_written_in_another_tempo_are_told(model: Model, told: Model, tmp_path: Path) -> None:
    midi.write(planned("a pop song, 97 bpm"), tmp_path / "tune.mid")
    midi.write(planned("a pop song, 140 bpm"), tmp_path / "beat.mid")
    tune, beat = str(tmp_path / "tune.mid"), str(tmp_path / "beat.mid")

    def note(text: str, **wishes: object) -> str:
        return Held.of(ask(text, 4.0, 0, "auto", wishes)).note

    assert note("a pop song", melody=tune) == ""
    assert note("a pop song", melody=tune, tempo=98) == ""
    assert note("a pop song", melody=tune, tempo=120) == "tune.mid is written at 97 bpm, and its notes keep their times at 120"
    assert note("a pop song, 120 bpm", drums=beat).startswith("beat.mid is written at 140 bpm")
    assert note("a pop song", melody=tune, drums=beat).startswith("beat.mid is written at 140 bpm")
    for one in (model, told):  # by a plan, and without
        assert "tune.mid" in one.generate("a song, 120 bpm", 1.0, melody=tune).record["note"]


@pytest.mark.parametrize("wishes", [{"chords": "|" + " C | G | Am | F |" * 20}, {"drums": "kick: " + "x...x..." * 60}])
def test_long_texts_are_no_paths(model: Model, wishes: dict) -> None:
    assert model.generate("a pop song", 1.0, 0, **wishes).record["controls"] == wishes


def test_conditions_that_guidance_leaves_out_are_told(told: Model) -> None:
    wishes = {"chords": "C G", "tempo": 100.0, "key": "C"}
    note = told.generate("piano", 1.0, 0, "none", guidance="text=2,chords=2", **wishes).record["note"]
    assert "hears nothing of tempo, key" in note
    assert told.generate("piano", 1.0, 0, "none", guidance="all=1.5,chords=1", **wishes).record["note"] == ""


def test_without_controls_the_words_are_not_read_again(told: Model) -> None:
    assert Held.of(read({"text": "120 bpm, or 90 bpm", "plan": "none"})) == Held()
    assert told.generate("piano at 120 bpm, or 90 bpm", 1.0, 0, "none").controls == Controls()


def test_a_planner_has_nothing_to_do_where_no_plan_is_played(told: Model) -> None:
    with pytest.raises(ValueError, match="plays no plans"):
        next(told.takes(read({"text": "piano", "seconds": 1.0, "planner": "score-tiny"})))


def test_chords_in_bars_need_a_tempo_where_nobody_composes(told: Model) -> None:
    with pytest.raises(ValueError, match="need a tempo"):
        told.generate("piano", 2.0, 0, "none", chords="C G")
