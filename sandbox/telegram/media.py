"""The parts of a Message object that hold a file, from what was uploaded."""

from typing import Any

from sandbox.telegram.errors import ApiError, bad_request
from sandbox.telegram.files import MAX_PHOTO_UPLOAD, MAX_UPLOAD, File, Files, base, image_size, photo_sizes
from sandbox.telegram.params import Params

Json = dict[str, Any]

MIME_BY_KIND = {
    "voice": "audio/ogg",
    "video": "video/mp4",
    "audio": "audio/mpeg",
    "animation": "video/mp4",
    "video_note": "video/mp4",
}


def part(file: File, *, duration_s: int = 0, emoji: str = "") -> Json:
    """`{"photo": [...]}`, `{"document": {...}}` and so on: what a Message holds for this file."""
    about = base(file)
    if file.kind == "photo":
        return {"photo": photo_sizes(file)}
    if file.kind == "document":
        return {"document": {"file_name": file.name, "mime_type": file.mime_type, **about}}
    if file.kind == "sticker":
        sticker: Json = {
            "type": "regular",
            "width": 512,
            "height": 512,
            "is_animated": False,
            "is_video": False,
        }
        if emoji:
            sticker["emoji"] = emoji
        return {"sticker": {**sticker, **about}}
    mime_type = file.mime_type if file.mime_type != "application/octet-stream" else MIME_BY_KIND[file.kind]
    if file.kind == "voice":
        return {"voice": {"duration": duration_s, "mime_type": mime_type, **about}}
    if file.kind == "audio":
        return {"audio": {"duration": duration_s, "file_name": file.name, "mime_type": mime_type, **about}}
    if file.kind == "video_note":
        return {"video_note": {"length": 384, "duration": duration_s, **about}}
    width, height = 640, 360
    moving = {
        "width": width,
        "height": height,
        "duration": duration_s,
        "file_name": file.name,
        "mime_type": mime_type,
        **about,
    }
    if file.kind == "animation":
        return {"animation": moving, "document": {"file_name": file.name, "mime_type": mime_type, **about}}
    return {"video": moving}


def from_bot(files: Files, params: Params, kind: str) -> File:
    """The file of a sendPhoto, sendDocument and so on: uploaded, or named by its file_id. ApiError as
    Telegram refuses.
    """
    return from_field(files, params, kind, kind)


def from_field(files: Files, params: Params, field: str, kind: str) -> File:
    """The file that stands under `field`, as one of this kind: an album names its files otherwise than by kind."""
    upload = params.upload(field)
    if upload is None:
        named = params.text(field)
        if not named or named.startswith("attach://"):
            raise bad_request(f"there is no {kind.replace('_', ' ')} in the request")
        if named.startswith(("http://", "https://")):
            raise bad_request("failed to get HTTP URL content")
        return files.by_id(named)
    size = len(upload.data)
    if size == 0:
        raise bad_request("file must be non-empty")
    if size > MAX_UPLOAD:
        raise ApiError(413, "Request Entity Too Large")
    if kind == "photo":
        if size > MAX_PHOTO_UPLOAD:
            raise bad_request(
                f"file of size {size} bytes is too big for a photo; the maximum size is {MAX_PHOTO_UPLOAD} bytes"
            )
        if image_size(upload.data) is None:
            raise bad_request("IMAGE_PROCESS_FAILED")
    return files.add(upload.data, kind=kind, name=upload.filename, mime_type=upload.mime_type)
