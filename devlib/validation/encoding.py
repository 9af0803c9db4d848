"""From the bytes of a file to blocks of text: which encoding, or which format that is no text at all.

People's files come as UTF-8, UTF-8 with a byte order mark, UTF-16 ("Unicode text" of a spreadsheet) or
Windows-1252 (what a French or English spreadsheet calls CSV). Nothing is guessed from statistics: a byte
order mark decides, or zero bytes in every second place, or the first bytes above 127: good UTF-8 or not.
"""

import codecs
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from devlib.errors import FileUnreadable
from devlib.language import Message, message

BLOCK = 1 << 18  # Bytes read at once.
_SAMPLE = 64  # Bytes of the header: letters, whatever script the rows are in.
_MARKS = (
    # The mark of UTF-32 LE begins with that of UTF-16 LE, so it is asked first.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
UNDECIDED = "utf-8 or windows-1252"


class BlockDecoder:
    """Decodes block after block; as long as all bytes are ASCII, it leaves open which encoding it is.

    Args:
        head: the first bytes of the file.

    Raises:
        FileUnreadable: the bytes are another format, or no text.
    """

    def __init__(self, head: bytes) -> None:
        _refuse_other_formats(head)
        self._skip, self._encoding = _marked_encoding(head)
        self._decoder = (
            None if self._encoding == UNDECIDED else codecs.getincrementaldecoder(self._encoding)()
        )
        self._pending = b""
        self._bytes = 0

    @property
    def encoding(self) -> str:
        """The encoding as far as it is known; `ascii` while no other byte came."""
        return "ascii" if self._encoding == UNDECIDED else self._encoding

    def decode(self, block: bytes, *, final: bool = False) -> str:
        """Return the text of the next block.

        Args:
            block: the bytes that follow the last ones.
            final: whether they are the last.

        Raises:
            FileUnreadable: bytes that are no text in this encoding, or zero characters.
        """
        block, self._skip = block[self._skip :], 0
        decode = self._undecided if self._decoder is None else partial(self._decided, self._decoder)
        text = decode(block, final=final)
        self._bytes += len(block)
        if "\0" in text:
            raise _no_text()
        return text

    def _undecided(self, block: bytes, *, final: bool) -> str:
        block = self._pending + block
        self._pending = b""
        if block.isascii():
            return block.decode("ascii")
        for encoding in ("utf-8", "windows-1252"):
            decoder = codecs.getincrementaldecoder(encoding)()
            try:
                text = decoder.decode(block, final)
            except UnicodeDecodeError:
                continue
            if text.isascii():
                # Only the beginning of a character came so far; it proves nothing yet.
                self._pending = block[len(text) :]
                return text
            self._encoding, self._decoder = encoding, decoder
            return text
        raise FileUnreadable(
            message("The text is neither UTF-8 nor Windows-1252."),
            remedy=message("Save the file again as “CSV UTF-8”."),
        )

    def _decided(self, decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool) -> str:
        try:
            return decoder.decode(block, final)
        except UnicodeDecodeError as error:
            raise FileUnreadable(
                message(
                    "Near byte {place} the text is no longer {encoding}.",
                    place=f"{self._bytes + error.start:,}",
                    encoding=self._encoding.upper(),
                ),
                remedy=message("Two encodings are mixed. Save the file again as “CSV UTF-8”."),
            ) from None


def decoded_blocks(stream: BinaryIO) -> tuple[BlockDecoder, Iterator[str]]:
    """Return the decoder of a stream, and its text block by block.

    Args:
        stream: a binary stream at its beginning; it is only read forward.

    Returns:
        The decoder, which knows the encoding better with every block; and the blocks, none of them empty.

    Raises:
        FileUnreadable: the stream is empty, or holds another format.
    """
    head = _read(stream)
    decoder = BlockDecoder(head)
    return decoder, _blocks(stream, decoder, head)


def _blocks(stream: BinaryIO, decoder: BlockDecoder, block: bytes) -> Iterator[str]:
    while block:
        if text := decoder.decode(block):
            yield text
        block = _read(stream)
    if text := decoder.decode(b"", final=True):
        yield text


def _read(stream: BinaryIO) -> bytes:
    try:
        parts = [part := stream.read(BLOCK)]
        # A pipe or an upload gives less than it is asked for; only nothing means the end.
        while part and sum(map(len, parts)) < BLOCK:
            parts.append(part := stream.read(BLOCK))
        return b"".join(parts)
    except OSError as error:
        raise FileUnreadable(
            message("The file cannot be read: {error}", error=error.strerror or error),
            remedy=message("Copy it to a local disk and try again."),
        ) from None


def _marked_encoding(head: bytes) -> tuple[int, str]:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return len(mark), encoding
    sample = head[:_SAMPLE]
    if 0 not in sample:
        return 0, UNDECIDED
    # The header is made of letters that UTF-16 writes with one zero byte each, all on the same side.
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if even == 0 and odd * 10 >= half * 9:
        return 0, "utf-16-le"
    if odd == 0 and even * 10 >= half * 9:
        return 0, "utf-16-be"
    raise _no_text()


def _refuse_other_formats(head: bytes) -> None:
    if not head:
        raise FileUnreadable(
            message("The file is empty."),
            remedy=message("Download the template and fill in one row for each device."),
        )
    if what := _other_format(head):
        raise FileUnreadable(what, remedy=message("Open it in the program that wrote it and save it as CSV."))


def _other_format(head: bytes) -> Message | None:
    if head.startswith(b"PK\x03\x04"):
        if b"opendocument.spreadsheet" in head[:256]:
            return message("This is an OpenDocument spreadsheet, no CSV file.")
        if b"[Content_Types].xml" in head or b"xl/" in head or b"_rels/" in head:
            return message("This is an Excel workbook, no CSV file.")
        return message("This is a ZIP archive, no CSV file.")
    lowered = head[:64].lstrip().lower()
    for magic, what in (
        (b"\xd0\xcf\x11\xe0", message("This is an Excel workbook, no CSV file.")),
        (b"\x1f\x8b", message("This is a gzip archive, no CSV file.")),
        (b"%pdf-", message("This is a PDF document, no CSV file.")),
        (b"{\\rtf", message("This is a text document, no CSV file.")),
        (b"<!doctype", message("This is a web page, no CSV file.")),
        (b"<html", message("This is a web page, no CSV file.")),
        (b"<?xml", message("This is an XML document, no CSV file.")),
    ):
        if lowered.startswith(magic):
            return what
    return None


def _no_text() -> FileUnreadable:
    return FileUnreadable(
        message("The file holds zero bytes: it is no text."),
        remedy=message("Choose the CSV file, or save the table as “CSV UTF-8”."),
    )
