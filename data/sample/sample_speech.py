"""Speech for the sample corpus: a person's voice and a feeling become a clip (used by make_sample.py)."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16000
# libsndfile's Opus writer at about 29 kbit/s. Over 60 clips of dev, half of the eGeMAPS functionals correlate at 0.97
# or more with those of the uncompressed sound, a tenth at less than 0.6; it is no better at 40 kbit/s.
COMPRESSION_LEVEL = 0.92


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """How a person sounds when calm, and how strongly feelings show (see voices.yaml)."""

    voice: str
    pitch: float
    words_per_minute: float
    expressiveness: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Prosody:
    """How speech differs from the speaker's calm voice.

    Args:
        pitch: steps on espeak-ng's scale of 0..99.
        range_percent: intonation range in percentage points; 0 = as calm speech.
        speed: relative change of words per minute.
        gain_db: loudness.
        tilt: spectral slope, positive = brighter (as a raised voice), negative = darker.
        tremor: depth of the 7 Hz amplitude modulation, 0..1.
    """

    pitch: float = 0.0
    range_percent: float = 0.0
    speed: float = 0.0
    gain_db: float = 0.0
    tilt: float = 0.0
    tremor: float = 0.0


CALM_RANGE_PERCENT = 90.0
# Anger, sadness and joy go where Scherer's review of vocal affect reports (Speech Communication 40, 2003). Fear is the
# held-back kind, high and quick but quiet; surprise and disgust, and the size of everything, are our choice.
EMOTIONS = {
    "neutral": Prosody(),
    "surprise": Prosody(pitch=15, range_percent=70, speed=0.02, gain_db=2.0, tilt=0.1),
    "fear": Prosody(pitch=13, range_percent=-25, speed=0.24, gain_db=-3.5, tilt=0.05, tremor=0.35),
    "sadness": Prosody(pitch=-12, range_percent=-50, speed=-0.20, gain_db=-5.0, tilt=-0.35),
    "joy": Prosody(pitch=10, range_percent=45, speed=0.08, gain_db=3.0, tilt=0.15),
    "disgust": Prosody(pitch=-10, range_percent=-15, speed=-0.20, gain_db=1.5, tilt=0.05, tremor=0.2),
    "anger": Prosody(pitch=3, range_percent=30, speed=0.17, gain_db=6.0, tilt=0.35),
}
# What varies from one utterance to the next whatever is felt: without it every emotion would be one constant.
SPREAD = Prosody(pitch=5.0, range_percent=22.0, speed=0.07, gain_db=2.2, tilt=0.12, tremor=0.04)


def draw_prosody(emotion: str, voice: Voice, rng: np.random.Generator) -> Prosody:
    """The emotion's prosody, as strong as this person shows it this time, plus variation that means nothing."""
    # One line in eight or so is said without the feeling that is meant, as people do.
    strength = voice.expressiveness * rng.uniform(0.45, 1.25) * (rng.random() > 0.12)
    target = EMOTIONS[emotion]
    drawn = {
        name: strength * getattr(target, name) + getattr(SPREAD, name) * float(rng.normal())
        for name in ("pitch", "range_percent", "speed", "gain_db", "tilt", "tremor")
    }
    return Prosody(**drawn)


def synthesise(text: str, voice: Voice, prosody: Prosody, rng: np.random.Generator) -> NDArray[np.float64]:
    """Mono speech at SAMPLE_RATE_HZ, shape [samples], peaks below 1."""
    raw, rate_hz = speak(text, voice, prosody)
    speech = soxr.resample(raw, rate_hz, SAMPLE_RATE_HZ)
    loud = np.flatnonzero(np.abs(speech) > 0.01)
    speech = speech[loud[0] : loud[-1] + 1]
    speech = tilted(speech / np.sqrt(np.mean(speech**2)), float(np.clip(prosody.tilt, -0.7, 0.7)))
    seconds = np.arange(speech.size) / SAMPLE_RATE_HZ
    depth = float(np.clip(prosody.tremor, 0.0, 0.6))
    speech *= 1.0 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * (7.0 * seconds + rng.random())))
    # -26 dBFS leaves the loudest shout below full scale; the rest is clipped softly by tanh.
    speech *= 10 ** ((-26.0 + prosody.gain_db) / 20)
    silence = [np.zeros(int(rng.uniform(0.08, 0.20) * SAMPLE_RATE_HZ)) for _ in range(2)]
    clip = np.concatenate([silence[0], speech, silence[1]])
    # A faint room, a little different each time: digital silence would be nobody's microphone.
    room = rng.normal(size=clip.size) * 10 ** (rng.uniform(-66.0, -56.0) / 20)
    return np.tanh(clip + room)


def speak(text: str, voice: Voice, prosody: Prosody) -> tuple[NDArray[np.float64], int]:
    """What espeak-ng says, and its sample rate in Hz."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise SystemExit("espeak-ng is not on the path; install it (apt-get install espeak-ng) and run again")
    range_percent = int(np.clip(CALM_RANGE_PERCENT + prosody.range_percent, 10, 200))
    markup = f'<speak><prosody range="{range_percent}%">{escape(text)}</prosody></speak>'
    pitch = int(np.clip(voice.pitch + prosody.pitch, 5, 99))
    speed = int(np.clip(voice.words_per_minute * (1 + prosody.speed), 90, 300))
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        command = [program, "-m", "-z", "-v", voice.voice, "-p", str(pitch), "-s", str(speed), "-w", str(wav), markup]
        subprocess.run(command, check=True)  # noqa: S603 - fixed program, text from our own script
        samples, rate_hz = soundfile.read(wav)
    return samples, int(rate_hz)


def tilted(speech: NDArray[np.float64], tilt: float) -> NDArray[np.float64]:
    """One-zero filter x[n] - tilt x[n-1] at unchanged level; ``tilt`` > 0 is brighter."""
    out = speech.copy()
    out[1:] -= tilt * speech[:-1]
    return np.asarray(out * np.sqrt(np.mean(speech**2) / np.mean(out**2)))


def write_clip(path: Path, clip: NDArray[np.float64], serial: int) -> None:
    """Write Ogg/Opus with a fixed stream serial number, for libsndfile draws a new one at every run."""
    soundfile.write(path, clip, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=COMPRESSION_LEVEL)
    data = bytearray(path.read_bytes())
    position = 0
    while position < len(data):  # RFC 3533, section 6: serial at byte 14, checksum at 22, segment table at 27
        n_segments = data[position + 26]
        end = position + 27 + n_segments + sum(data[position + 27 : position + 27 + n_segments])
        data[position + 14 : position + 18] = serial.to_bytes(4, "little")
        data[position + 22 : position + 26] = bytes(4)
        data[position + 22 : position + 26] = ogg_checksum(data[position:end]).to_bytes(4, "little")
        position = end
    path.write_bytes(data)


def ogg_checksum(page: bytes | bytearray) -> int:
    """CRC-32 of an Ogg page (polynomial 0x04c11db7, no reflection, start 0; RFC 3533)."""
    crc = 0
    for byte in page:
        crc = ((crc << 8) & 0xFFFFFFFF) ^ CRC_TABLE[(crc >> 24) ^ byte]
    return crc


def crc_entry(byte: int) -> int:
    """One entry of the checksum's table."""
    crc = byte << 24
    for _ in range(8):
        crc = ((crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


CRC_TABLE = tuple(crc_entry(byte) for byte in range(256))
