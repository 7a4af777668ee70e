"""Scores as JSON that people can read: `from_dict(to_dict(score)) == score`, exactly.

Chords are Harte labels ("N" where there is none), keys and metres their names, notes [start, end, pitch, velocity].
"""

from typing import Any

from counterpoint.instruments import instrument
from counterpoint.music import Chord, ChordSpan, Key, Metre, Note, Score, Section, Track, harte_label


def to_dict(score: Score) -> dict[str, Any]:
    """The score as plain lists, numbers and strings."""
    return {
        "seconds": score.seconds,
        "style": score.style,
        "mood": score.mood,
        "tempo": score.bpm,
        "metre": score.metre.name,
        "key": score.key.name,
        "beats": list(score.beats),
        "downbeats": list(score.downbeats),
        "chords": [[span.start, span.end, harte_label(span.chord)] for span in score.chords],
        "sections": [[section.start, section.end, section.name] for section in score.sections],
        "tracks": [_track_to_dict(track) for track in score.tracks],
    }


def _track_to_dict(track: Track) -> dict[str, Any]:
    return {
        "role": track.role,
        "program": track.program,
        "instrument": instrument(track.role, track.program),
        "pan": track.pan,
        "gain": track.gain,
        "notes": [[note.start, note.end, note.pitch, note.velocity] for note in track.notes],
    }


def from_dict(content: dict[str, Any]) -> Score:
    """The score that `to_dict` wrote.  Raises ValueError for anything else."""
    try:
        return Score(
            seconds=content["seconds"],
            style=content["style"],
            bpm=content["tempo"],
            metre=Metre.parse(content["metre"]),
            key=Key.parse(content["key"]),
            beats=tuple(content["beats"]),
            downbeats=tuple(content["downbeats"]),
            chords=tuple(ChordSpan(start, end, Chord.parse(label)) for start, end, label in content["chords"]),
            tracks=tuple(_track_from_dict(track) for track in content["tracks"]),
            sections=tuple(Section(start, end, name) for start, end, name in content["sections"]),
            mood=content["mood"],
        )
    except KeyError as error:
        raise ValueError(f"The annotation has no {error.args[0]!r}; write it with annotation.to_dict.") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"The annotation is not laid out as annotation.to_dict writes it: {error}.") from error


def _track_from_dict(content: dict[str, Any]) -> Track:
    return Track(
        role=content["role"],
        program=content["program"],
        notes=tuple(Note(*note) for note in content["notes"]),
        pan=content["pan"],
        gain=content["gain"],
    )
