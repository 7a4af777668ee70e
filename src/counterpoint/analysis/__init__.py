"""What can be heard in audio, from the audio alone: beats, tempo, key, chords, melody, drums."""
