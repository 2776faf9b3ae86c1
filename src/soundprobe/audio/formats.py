"""What a file is that libsndfile doesn't read: its format by its first bytes, whatever its ending says.

"Not supported" is not "damaged" and not "not audio". FFmpeg reads most of these: `soundprobe.audio.ffmpeg`.

Sources: ISO 14496-12 (MP4), RFC 9559 (Matroska, WebM), Microsoft's ASF specification and mmreg.h (WAV's format tags),
RFC 3533 and 9639 (Ogg, FLAC in it), ISO 13818-7 (ADTS), RFC 4867 (AMR).
"""

from __future__ import annotations

from soundprobe.audio.encoded import Encoded, unpack

AUDIO_ENDINGS = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".caf", ".w64", ".rf64", ".au"),
    *(".m4a", ".aac", ".webm", ".weba", ".mka", ".wma", ".mp2", ".amr", ".ac3", ".wv", ".tta"),
)
"""Of files in folders. Those of video are not among them: a folder may hold a clip's video beside its sound."""

CONVERT = "convert it: ffmpeg -i FILE FILE.wav"
CONVERT_SAMPLES = 'write its samples as 32-bit floats: soundfile.write(FILE, samples.astype("float32"), RATE, "FLOAT")'

BEGINNINGS = {
    b"\x1aE\xdf\xa3": "WebM or Matroska",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "WMA (ASF)",
    b"#!AMR": "AMR",
    b"\x0bw": "AC-3",
    b"wvpk": "WavPack",
    b"MAC ": "Monkey's Audio",
    b"TTA1": "TTA",
    b"MPCK": "Musepack",
    b"MP+": "Musepack",
    b"OFR ": "OptimFROG",
    b"DSD ": "DSD (DSF)",
    b"FRM8": "DSD (DSDIFF)",
    b".RMF": "RealMedia",
    b"FLV\x01": "Flash video",
    b"Creative Voice File": "VOC",
    b"\x7f\xfe\x80\x01": "DTS",
    b"ADIF": "AAC (ADIF)",
    b"caff": "CAF",
}
OTHERS = {
    b"version https://git-lfs": "a Git LFS pointer: git lfs pull fetches it",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"<!doctype html": "a web page: fetch the file again",
    b"<html": "a web page: fetch the file again",
    b"<?xml": "XML",
    b"%pdf": "a PDF",
    b"\x89png": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"MThd": "MIDI, which has notes and no sound",
}
"""What lies in the place of audio, by its first bytes."""

FLOAT16 = "WAV with 16-bit floats"
NEVER_READ = (FLOAT16, "Flash video", "RealMedia", "VOC", "AVI", "VCD video", "MPEG transport stream")
"""FFmpeg doesn't know the first; of the others it reads what is there, and nothing tells whether that is all."""
IN_OGG = {
    b"\x7fFLAC": "FLAC in Ogg",
    b"Speex": "Speex in Ogg",
    b"\x80theora": "Ogg video (Theora)",
    b"fishead": "Ogg with a skeleton",
    b"BBCD": "Ogg video (Dirac)",
}
WAV_TAGS = {
    0x0002: "MS ADPCM",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0010: "OKI ADPCM",
    0x0011: "IMA ADPCM",
    0x0017: "Dialogic OKI ADPCM",
    0x0020: "Yamaha ADPCM",
    0x0022: "TrueSpeech",
    0x0031: "GSM 6.10",
    0x0040: "G.721 ADPCM",
    0x0042: "G.723.1",
    0x0045: "G.726 ADPCM",
    0x0050: "MPEG layer I or II",
    0x0055: "MP3",
    0x0061: "DK4 ADPCM",
    0x0062: "DK3 ADPCM",
    0x0064: "G.726 ADPCM",
    0x00FF: "AAC",
    0x0160: "WMA",
    0x0161: "WMA",
    0x0162: "WMA Pro",
    0x0163: "WMA Lossless",
    0x028F: "G.722 ADPCM",
    0x1600: "AAC (ADTS)",
    0x2000: "AC-3",
    0x2001: "DTS",
    0x5346: "Flash ADPCM",
    0x674F: "Vorbis",
    0xF1AC: "FLAC",
}
PCM, FLOATS, EXTENSIBLE = 1, 3, 0xFFFE
READ_BITS = {PCM: (8, 16, 24, 32), FLOATS: (32, 64), 6: (8,), 7: (8,)}


def other_format(audio: Encoded) -> str | None:
    """The name of what `audio` holds, where libsndfile can't read that; None where it can, or where it isn't known.

    Not for what libsndfile opened: some of its own formats may hold encodings that it doesn't know.
    """
    for beginning, name in BEGINNINGS.items():
        if audio.startswith(beginning):
            return name
    if audio[4:8] == b"ftyp":
        return "M4A (AAC or ALAC)" if audio[8:11] in (b"M4A", b"M4B") else "MP4"
    if audio[4:8] in (b"moov", b"mdat", b"wide", b"free"):
        return "QuickTime"
    if audio[:4] == b"OggS":
        if len(audio) < 28:
            return None
        first = 27 + audio[26]
        packet = audio[first : first + 16]
        return next((name for beginning, name in IN_OGG.items() if packet.startswith(beginning)), None)
    if audio[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return _in_riff(audio)
    if audio[:4] == b"FORM" and audio[8:12] == b"AIFC":
        at = audio.find(b"COMM", 12)
        return f"AIFF-C with {_four_letters(audio[at + 26 : at + 30])}"
    if audio[:4] == b".snd":
        return "AU with an encoding"
    if audio[:1] == b"\xff" and audio[1:2] in (b"\xf0", b"\xf1", b"\xf8", b"\xf9"):
        return "AAC (ADTS)"
    if audio[:1] == b"G" and audio[188:189] == b"G" and audio[376:377] == b"G":
        return "MPEG transport stream"
    return None


def not_audio(audio: Encoded) -> str:
    """Why `audio` is none, in a few words."""
    beginning = audio[:64].lstrip().lower()
    found = next((name for mark, name in OTHERS.items() if beginning.startswith(mark.lower())), None)
    return f"not audio but {found}" if found else "not audio"


def remedy(name: str) -> str:
    """What to do with a file in the format `name`, short enough for a list of failures."""
    if name == FLOAT16:
        return CONVERT_SAMPLES
    if name in NEVER_READ:
        return CONVERT
    return f"pip install 'soundprobe[ffmpeg]' reads it; or {CONVERT}"


def _in_riff(audio: Encoded) -> str | None:
    if audio[8:12] != b"WAVE":
        return {b"AVI ": "AVI", b"CDXA": "VCD video", b"RMID": "MIDI"}.get(audio[8:12])
    order = ">" if audio[:4] == b"RIFX" else "<"
    at = 12
    while at + 24 <= len(audio) and audio[at : at + 4] != b"fmt ":
        (size,) = unpack(f"{order}I", audio, at + 4)
        at += 8 + size + size % 2
    if at + 24 > len(audio):
        return None
    tag, _, _, _, _, bits = unpack(f"{order}HHIIHH", audio, at + 8)
    if tag == EXTENSIBLE and at + 34 <= len(audio):
        (tag,) = unpack(f"{order}H", audio, at + 32)
    if bits in READ_BITS.get(tag, ()):
        return None
    if tag in (PCM, FLOATS):
        return f"WAV with {bits}-bit {'floats' if tag == FLOATS else 'integers'}"
    return f"WAV with {WAV_TAGS.get(tag, f'encoding 0x{tag:04X}')}"


def _four_letters(code: bytes) -> str:
    return "".join(chr(byte) if 32 < byte < 127 else "?" for byte in code) or "an encoding"
