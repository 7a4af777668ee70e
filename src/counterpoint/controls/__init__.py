"""What a musician gives to hold on to (chords, a tune, drums, tempo, key), read and made ready for models."""
