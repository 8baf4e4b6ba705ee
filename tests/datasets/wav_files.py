"""Write wav files for tests."""

import io
import wave


def wav_bytes(samples, rate=16_000, channels=1):
    """Return a wav file of 16-bit samples (a numpy array)."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()
