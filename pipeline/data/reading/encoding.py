"""Bytes to text, strictly: the right characters, or an error that names the likely encoding.

Nothing is ever replaced by a stand-in character. Two things that are no text at all are removed,
and counted in the notes: NUL characters and lone surrogates (halves of a character), which no
tokenizer and no csv writer can carry.
"""

import codecs
import re
from collections.abc import Callable

from pipeline.base import DataError, UsageError

SAMPLE_BYTES = 1_000_000
"""An encoding is guessed from at most this much."""
NUL_SHARE = 0.05
"""Above this share of NUL bytes a file is UTF-16, not text with a stray NUL."""
SURELY = 3
"""So many characters beyond ASCII that are valid UTF-8 are no accident."""
IN_CONFIG = (
    "--data.encoding {0} (in the config: data.encoding: {0}; encoding: {0} for this file alone in "
    "data.files)"
)
"""How a person says the encoding {0} of a competition's file."""
SINGLE_BYTE = {"iso8859-1", "cp1252", "iso8859-15", "ascii"}
"""Encodings that turn any bytes into some characters: here success proves nothing."""


def decode(
    content: bytes, encoding: str, name: str, option: str = IN_CONFIG
) -> tuple[str, list[str]]:
    """The text of a file and notes about what was removed from it.

    A byte order mark is dropped. Raises DataError, with the guessed encoding, where *content* is
    not in *encoding*, and advises *option*; UsageError where there is no such encoding.
    """
    codec = _codec(encoding)
    if codec != "utf-8" and (plainly := _plainly_utf8(content)) is not None:
        text, notes = clean(plainly.removeprefix("\ufeff"))
        return text, [*notes, f"this file is UTF-8, not {encoding}, and read as such"]
    _refuse_wrong_family(content, codec, f"{name} is not {encoding}", option)
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        if codec != "utf-8" or (repaired := _with_surrogates(content)) is None:
            told = _not_in(encoding, content, error.start, name)
            raise DataError(_advice(*told, option)) from None
        text = repaired
    return clean(text.removeprefix("\ufeff"))


def encoding_shown(content: bytes) -> str | None:
    """The encoding that fits *content* where it is not UTF-8; None where it is, or none fits.

    >>> encoding_shown("id,라벨".encode("cp949")), encoding_shown("id,라벨".encode())
    ('cp949', None)
    """
    head = content[:SAMPLE_BYTES]
    if head.count(0) > max(3, NUL_SHARE * len(head)):
        shown: str | None = _guess_utf16(head)
    else:
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            halves = _with_surrogates(content) is not None
            shown = None if halves else guess(_lines_from(content, error.start))
        else:
            return None
    return shown if shown and _decodes(content, shown) else None


def _plainly_utf8(content: bytes) -> str | None:
    """The text of *content* where it is UTF-8 beyond doubt: text of another encoding never comes
    out whole. So files of one competition may have two encodings, one of them UTF-8."""
    if content.isascii():
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if sum(not each.isascii() for each in text[:SAMPLE_BYTES]) >= SURELY else None


def clean(text: str) -> tuple[str, list[str]]:
    """*text* without NUL characters and lone surrogates, and a note for each kind removed.

    >>> clean("a\\0b")
    ('ab', ['1 NUL character removed'])
    """
    notes = []
    if count := text.count("\0"):
        text = text.replace("\0", "")
        notes.append(f"{count:,} NUL character{'s' if count > 1 else ''} removed")
    if not text.isascii() and (count := len(re.findall("[\ud800-\udfff]", text))):
        before = len(text)
        # halves that belong together become one character, the others vanish
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
        lone = 2 * (before - len(text)) - count
        if lone:
            notes.append(f"{lone:,} half character{'s' if lone > 1 else ''} (surrogates) removed")
    return text, notes


def _codec(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
        b"a".decode(name, "ignore")  # refuses rot13 and other codecs that are no text encoding
    except LookupError:
        raise UsageError(
            f"there is no text encoding {encoding!r}; usual ones are utf-8, cp949, utf-16, latin-1"
        ) from None
    return "utf-8" if name == "utf-8-sig" else name


def _refuse_wrong_family(content: bytes, codec: str, found: str, option: str) -> None:
    """Catch files that decode without an error to the wrong characters."""
    if codec.startswith(("utf-16", "utf-32")):
        return
    head = content[:SAMPLE_BYTES]
    if head.count(0) > max(3, NUL_SHARE * len(head)):
        raise DataError(_advice(found, _guess_utf16(head), option))
    if codec in SINGLE_BYTE and (foreign := re.search(rb"[\x80-\xff]", content)):
        sample = _lines_from(content, foreign.start())
        better = "utf-8" if _decodes(content, "utf-8") else guess(sample)
        if better not in (None, "cp1252"):
            raise DataError(_advice(found, better, option))


def _with_surrogates(content: bytes) -> str | None:
    """The text of UTF-8 that encodes halves of characters, as some programs write it."""
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


def _not_in(encoding: str, content: bytes, position: int, name: str) -> tuple[str, str | None]:
    """What is wrong, and the encoding that it looks like."""
    line = 1 + len(re.findall(rb"\r\n|\r|\n", content[:position]))
    found = f"{name} is not {encoding}: byte 0x{content[position]:02x} in line {line}"
    if encoding != "utf-8" and _decodes(content, "utf-8"):
        return found, "utf-8"
    return found, guess(_lines_from(content, position))


def _advice(found: str, guessed: str | None, option: str) -> str:
    if guessed is None:
        return f"{found}, and its encoding could not be guessed. Convert the file to UTF-8."
    spoken = {"cp949": "CP949 (EUC-KR)", "cp1252": "latin-1 (cp1252)"}.get(guessed, guessed.upper())
    return (
        f"{found}; it looks like {spoken}. Say so with {option.format(guessed)}, "
        "or convert the file to UTF-8."
    )


def guess(sample: bytes) -> str | None:
    """The encoding that makes the most sense of bytes that are not UTF-8, or None.

    >>> guess("안녕하세요, 반갑습니다".encode("euc-kr")), guess("déjà vu à Noël".encode("latin-1"))
    ('cp949', 'cp1252')
    """
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in sample:
        return _guess_utf16(sample)
    return next((name for name, fits in CANDIDATES.items() if fits(sample)), None)


def _guess_utf16(sample: bytes) -> str:
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be"


def _mostly(codec: str, script: str, share: float) -> Callable[[bytes], bool]:
    """Does *sample* decode, and is *share* of its non-ASCII characters in *script*?"""

    def fits(sample: bytes) -> bool:
        if not _decodes(sample, codec):
            return False
        foreign = [character for character in sample.decode(codec) if ord(character) > 127]
        known = sum(1 for character in foreign if re.match(script, character))
        return bool(foreign) and known >= share * len(foreign)

    return fits


def _single_accents(sample: bytes) -> bool:
    """High bytes stand alone between plain letters, as in European text, not in pairs."""
    runs = re.findall(rb"[\x80-\xff]+", sample)
    return bool(runs) and sum(len(run) == 1 for run in runs) >= 0.8 * len(runs)


CANDIDATES: dict[str, Callable[[bytes], bool]] = {
    "shift_jis": _mostly("shift_jis", "[ぁ-ヿ一-鿿、-〟]", 0.9),  # cp949 would decode it as well
    "cp949": _mostly("cp949", "[가-힣ㄱ-ㅣ]", 0.7),
    "cp1252": lambda sample: _decodes(sample, "cp1252") and _single_accents(sample),
}


def _decodes(sample: bytes, codec: str) -> bool:
    try:
        sample.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _lines_from(content: bytes, position: int) -> bytes:
    """Whole lines of *content* from the one that holds *position*, at most SAMPLE_BYTES."""
    start = content.rfind(b"\n", 0, position) + 1
    end = content.rfind(b"\n", start, start + SAMPLE_BYTES)
    return (
        content[start:] if len(content) - start <= SAMPLE_BYTES or end < 0 else content[start:end]
    )
