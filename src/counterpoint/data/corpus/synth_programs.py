"""The built-in renderer's instruments: a voice for each of the 128 General-MIDI programs."""

from dataclasses import replace

from counterpoint.data.corpus.synth_voices import Analogue, Held, Modulated, Operator, Struck, Voice

_PIANO = Struck(9, cutoff=3200, slope=0.7, stretch=4e-4, damping=0.35, detune=1.5, knock=0.25, release=0.16)
_EPIANO = Modulated((Operator(1, 1, 0.9, 0.8, 1.0, 6), Operator(1, 14, 0.5, 0.08, 0.35, 1.2)))
_NYLON = Struck(3.5, cutoff=2200, slope=0.6, pluck=0.23, damping=0.3, knock=0.15, release=0.09)
_STEEL = Struck(5, cutoff=4500, slope=0.6, pluck=0.14, damping=0.22, detune=2, knock=0.15, release=0.09)
_BASS = Struck(5, cutoff=1100, slope=0.5, pluck=0.2, damping=0.3, knock=0.12, release=0.07)
_DRIVEN = Analogue(5200, 3000, 0.25, even=0.5, voices=2, resonance=1.5, detune=6, seconds=9, attack=0.003, release=0.07)
_BELL = Struck(5, cutoff=9000, slope=0.9, ratios=(1, 2.76, 5.4, 8.93), damping=0.9, release=0.5)
_ORGAN = Held(levels=(1, 0.8, 0.6, 0.5, 0, 0.35, 0, 0.3), cutoff=9000, attack=0.006, sustain=1, swell=0, vibrato=6.2, depth=4,
              release=0.04)  # fmt: skip
_ACCORDION = Analogue(3600, 3000, 0.5, voices=3, detune=14, attack=0.025, release=0.06)
_VIOLIN = Held(slope=1.0, cutoff=4500, formants=((500, 0.4), (1200, 0.5), (3000, 0.5)), attack=0.045, sustain=0.85, swell=0.3,
               depth=16, breath=0.15, release=0.14)  # fmt: skip
_STRINGS = Analogue(3400, 2600, 0.5, voices=4, detune=18, attack=0.09, release=0.3)
_CHOIR = Held(slope=0.9, cutoff=900, formants=((700, 1.2), (1150, 0.9), (2700, 0.4)), attack=0.08, swell=0, depth=14,
              breath=0.25, release=0.25)  # fmt: skip
_BRASS = Held(slope=0.6, cutoff=2400, formants=((1200, 0.4),), attack=0.03, sustain=0.8, swell=0.45, vibrato=5, depth=6,
              breath=0.05)  # fmt: skip
_SECTION = Analogue(4200, 2000, 0.25, voices=3, detune=14, attack=0.025, release=0.1)
_SAX = Held(
    slope=0.8, even=0.8, cutoff=2200, formants=((800, 0.5), (1800, 0.4)), attack=0.025, swell=0.35, depth=14, breath=0.3
)
_OBOE = Held(slope=0.6, cutoff=2600, formants=((1400, 1.0), (3000, 0.4)), attack=0.02, swell=0.15, depth=10, breath=0.1)
_FLUTE = Held(
    levels=(1, 0.45, 0.18, 0.08, 0.04), cutoff=6000, attack=0.03, sustain=0.9, swell=0.2, vibrato=5, depth=14, breath=0.6
)
_PAD = Analogue(2200, 1500, 1.0, voices=5, detune=22, attack=0.14, release=0.45)
_LEAD = Analogue(6500, 3000, 0.25, voices=2, detune=9, attack=0.004, release=0.07)
_AIR = Held(levels=(1, 0.2), attack=0.05, swell=0, depth=0, breath=6.0, release=0.3)
_DRUM = Struck(0.9, cutoff=900, slope=1.2, ratios=(1, 1.59, 2.14, 2.65), damping=0.8, knock=0.5, release=0.2)

_PIANOS: tuple[Voice, ...] = (
    _PIANO,
    replace(_PIANO, cutoff=5200),
    replace(_PIANO, seconds=7, cutoff=4200, knock=0.1),
    replace(_PIANO, detune=11, cutoff=4200),
    replace(_EPIANO, tremolo=0.08),
    replace(_EPIANO, operators=(Operator(1, 1, 1.6, 0.6, 1.0, 5), Operator(2, 7, 0.7, 0.1, 0.25, 1.5))),
    Struck(4, cutoff=9000, slope=0.4, pluck=0.12, damping=0.12, knock=0.2, release=0.06),
    Struck(2.2, cutoff=5200, slope=0.3, pluck=0.1, damping=0.15, knock=0.2, release=0.04),
)
_CHROMATIC: tuple[Voice, ...] = (
    replace(_BELL, seconds=3.5, ratios=(1, 3.0, 4.9)),
    replace(_BELL, seconds=4.5),
    replace(_BELL, seconds=3, ratios=(1, 2.0, 3.01, 5.9), cutoff=7000),
    replace(_BELL, seconds=6, ratios=(1, 3.98, 9.9), slope=1.6, cutoff=4000),
    Struck(1.3, cutoff=3500, slope=1.5, ratios=(1, 3.93, 9.2), damping=1.2, knock=0.2, release=0.2),
    Struck(0.7, cutoff=7000, slope=0.9, ratios=(1, 3.0, 6.0), damping=0.8, knock=0.4, release=0.2),
    replace(_BELL, seconds=8, ratios=(1, 2.0, 2.98, 4.2, 5.4), slope=0.6, release=1.0),
    replace(_STEEL, detune=4, cutoff=7000, knock=0.3),
)
_ORGANS: tuple[Voice, ...] = (
    _ORGAN,
    replace(_ORGAN, levels=(1, 0.6, 0.8, 0.2, 0, 0.1), sustain=0.6),
    replace(_ORGAN, levels=(1, 0.9, 0.8, 0.7, 0.5, 0.5, 0.4, 0.5), depth=7),
    Held(levels=(1, 0.9, 0.2, 0.8, 0.1, 0.3, 0.05, 0.5), cutoff=9000, attack=0.05, sustain=1, swell=0, depth=0, release=0.35),
    Held(slope=0.7, cutoff=3500, attack=0.04, sustain=1, swell=0, depth=3, release=0.12),
    _ACCORDION,
    Held(slope=0.7, cutoff=2800, formants=((1600, 0.6),), attack=0.02, swell=0.2, depth=14, breath=0.3),
    replace(_ACCORDION, detune=24),
)
_GUITARS: tuple[Voice, ...] = (
    _NYLON,
    _STEEL,
    replace(_NYLON, cutoff=1400, seconds=4, pluck=0.3, knock=0.05),
    replace(_STEEL, cutoff=3200, detune=0, pluck=0.18),
    replace(_STEEL, seconds=0.5, cutoff=2600, detune=0, knock=0.3, release=0.04),
    _DRIVEN,
    replace(_DRIVEN, opened=7000, closed=4000, even=0.8, detune=8, resonance=2.5),
    Struck(4, cutoff=6000, ratios=(1, 2, 4), slope=1.5, release=0.2),
)
_BASSES: tuple[Voice, ...] = (
    replace(_BASS, cutoff=700, seconds=2.5, knock=0.2),
    _BASS,
    replace(_BASS, cutoff=2000, pluck=0.12, knock=0.25),
    Held(slope=1.3, cutoff=700, attack=0.015, sustain=0.6, swell=0.3, depth=8, release=0.08),
    replace(_BASS, cutoff=3500, slope=0.4, pluck=0.1, knock=0.5),
    replace(_BASS, cutoff=3000, slope=0.4, pluck=0.08, knock=0.6),
    Analogue(1800, 350, 0.18, resonance=0.5, voices=2, detune=5, release=0.05),
    Analogue(1100, 300, 0.3, even=0.1, voices=2, detune=6, release=0.05),
)
_STRING_FAMILY: tuple[Voice, ...] = (
    _VIOLIN,
    replace(_VIOLIN, cutoff=3200, formants=((400, 0.5), (1000, 0.5))),
    replace(_VIOLIN, cutoff=2200, formants=((250, 0.5), (700, 0.4)), depth=12),
    replace(_VIOLIN, cutoff=1300, formants=((150, 0.4), (450, 0.3)), depth=8),
    replace(_STRINGS, attack=0.05),
    Struck(0.9, cutoff=2200, slope=0.7, pluck=0.3, damping=0.3, knock=0.15, release=0.15),
    Struck(4.5, cutoff=3000, slope=0.9, pluck=0.4, damping=0.25, release=0.6),
    Struck(2.5, cutoff=500, slope=1.0, ratios=(1, 1.5, 1.99, 2.44), damping=0.5, knock=0.4, release=0.5),
)
_ENSEMBLES: tuple[Voice, ...] = (
    _STRINGS,
    replace(_STRINGS, opened=2600, closed=1900, attack=0.13),
    replace(_STRINGS, detune=26, opened=3000, closed=2000),
    replace(_STRINGS, detune=30, opened=2000, closed=1400),
    _CHOIR,
    replace(_CHOIR, formants=((350, 1.0), (750, 0.5)), cutoff=600, breath=0.15),
    replace(_PAD, opened=1800, closed=1400, attack=0.08),
    replace(_SECTION, seconds=0.9, voices=5, detune=20, opened=6000, attack=0.003),
)
_BRASSES: tuple[Voice, ...] = (
    replace(_BRASS, cutoff=3200),
    replace(_BRASS, cutoff=1900, formants=((700, 0.4),)),
    replace(_BRASS, cutoff=900, formants=((300, 0.4),), attack=0.04),
    replace(_BRASS, cutoff=2000, formants=((1600, 1.2), (2800, 0.6)), slope=0.5),
    replace(_BRASS, cutoff=1200, formants=((450, 0.5),), attack=0.045, swell=0.3),
    _SECTION,
    replace(_SECTION, opened=3600, closed=1600, detune=18),
    replace(_SECTION, opened=2600, closed=1400, detune=20, attack=0.04),
)
_REEDS: tuple[Voice, ...] = (
    replace(_SAX, cutoff=2800, formants=((1100, 0.6), (2400, 0.3))),
    _SAX,
    replace(_SAX, cutoff=1700, formants=((550, 0.5), (1300, 0.4))),
    replace(_SAX, cutoff=1300, formants=((350, 0.5), (900, 0.4))),
    _OBOE,
    replace(_OBOE, formants=((1000, 0.9), (2200, 0.3)), cutoff=2000),
    replace(_OBOE, formants=((500, 1.0), (1200, 0.3)), cutoff=1100),
    Held(slope=0.9, even=0.12, cutoff=2600, attack=0.025, swell=0.25, depth=4, breath=0.15),
)
_PIPES: tuple[Voice, ...] = (
    replace(_FLUTE, levels=(1, 0.3, 0.1), breath=0.4),
    _FLUTE,
    replace(_FLUTE, levels=(1, 0.15, 0.25, 0.05), depth=5, breath=0.3, vibrato=4.5),
    replace(_FLUTE, levels=(1, 0.1, 0.2, 0.04), breath=1.6, attack=0.04),
    replace(_FLUTE, levels=(1, 0.05, 0.05), breath=2.0, attack=0.05, depth=4),
    replace(_FLUTE, breath=1.4, depth=28, attack=0.05),
    Held(levels=(1, 0.03), attack=0.04, swell=0, depth=22, breath=0.2),
    Held(levels=(1, 0.08, 0.1), attack=0.03, swell=0, depth=8, breath=0.3),
)
_LEADS: tuple[Voice, ...] = (
    replace(_LEAD, even=0.0),
    _LEAD,
    Held(levels=(1, 0.12, 0.18, 0.04), attack=0.02, swell=0, depth=10, breath=0.4),
    replace(_LEAD, opened=8000, closed=2500, contour=0.12),
    replace(_LEAD, opened=7000, closed=2600, even=0.5, seconds=6),
    replace(_CHOIR, attack=0.03, depth=18),
    Analogue(5000, 2600, 0.4, voices=4, detune=20, attack=0.006, release=0.09),
    Analogue(3500, 700, 0.25, resonance=0.4, voices=2, detune=8, release=0.07),
)
_PADS: tuple[Voice, ...] = (
    replace(_PAD, opened=5000, closed=1800, contour=0.8, attack=0.03),
    _PAD,
    replace(_PAD, opened=3600, closed=2400, voices=6, detune=28, attack=0.08),
    replace(_CHOIR, attack=0.14, release=0.4),
    replace(_PAD, even=0.3, detune=30, attack=0.18),
    Modulated((Operator(1, 1.41, 1.2, 3.0, 0.4, 14), Operator(1, 2, 0.6, 4.0, 1.0, 14)), attack=0.06, release=0.5),
    replace(_PAD, opened=1200, closed=1000, attack=0.2),
    replace(_PAD, opened=800, closed=2600, contour=1.2, attack=0.15),
)
_EFFECTS: tuple[Voice, ...] = (
    replace(_PAD, opened=5000, closed=1500, attack=0.02),
    replace(_PAD, opened=1600, closed=900),
    Modulated((Operator(1, 3.5, 1.2, 0.5, 0.6, 5), Operator(1, 1, 0.3, 2.0, 1.0, 8)), release=0.5),
    replace(_STEEL, seconds=6, detune=10, release=0.4),
    replace(_PAD, opened=6000, closed=2200, attack=0.03),
    replace(_PAD, opened=1400, closed=1800, detune=40, attack=0.2),
    replace(_PAD, opened=2600, closed=1200, resonance=0.4),
    replace(_LEAD, opened=4000, closed=1500, voices=3, detune=16, release=0.3),
)
_WORLD: tuple[Voice, ...] = (
    Struck(4, cutoff=7000, slope=0.35, pluck=0.06, damping=0.1, detune=5, release=0.15),
    Struck(1.6, cutoff=6000, slope=0.5, pluck=0.1, damping=0.2, knock=0.3, release=0.08),
    Struck(1.4, cutoff=5500, slope=0.5, pluck=0.08, damping=0.2, knock=0.5, release=0.08),
    Struck(3.0, cutoff=5000, slope=0.6, pluck=0.15, damping=0.2, knock=0.15, release=0.2),
    Struck(1.6, cutoff=4000, slope=1.4, ratios=(1, 5.4, 11.9), damping=1.5, knock=0.2, release=0.3),
    Held(slope=0.5, cutoff=3200, attack=0.02, sustain=1, swell=0, depth=0, release=0.05),
    replace(_VIOLIN, attack=0.03),
    replace(_OBOE, slope=0.45, cutoff=3600, depth=20),
)
_PERCUSSIVE: tuple[Voice, ...] = (
    replace(_BELL, seconds=2.5, ratios=(1, 2.4, 4.5)),
    Struck(0.7, cutoff=7000, slope=0.5, ratios=(1, 1.48, 2.9), damping=0.5, release=0.2),
    Struck(2.0, cutoff=4000, slope=0.8, ratios=(1, 2.0, 3.0, 4.1), damping=0.5, knock=0.2, release=0.2),
    Struck(0.25, cutoff=5000, slope=1.0, ratios=(1, 2.6, 4.2), damping=0.6, knock=0.5, release=0.1),
    replace(_DRUM, seconds=1.4, cutoff=500),
    _DRUM,
    Analogue(3000, 500, 0.06, seconds=0.8, release=0.1),
    replace(_AIR, attack=0.5),
)
_NOISES: tuple[Voice, ...] = (_AIR,) * 3 + (Held(levels=(1,), depth=40, vibrato=9, swell=0),) * 2 + (_AIR,) * 3

VOICES: tuple[Voice, ...] = (
    *_PIANOS, *_CHROMATIC, *_ORGANS, *_GUITARS, *_BASSES, *_STRING_FAMILY, *_ENSEMBLES, *_BRASSES, *_REEDS, *_PIPES, *_LEADS,
    *_PADS, *_EFFECTS, *_WORLD, *_PERCUSSIVE, *_NOISES,
)  # fmt: skip
"""By General-MIDI program, from 0."""
