from __future__ import annotations

import pytest

from df2s2_d2.inference.media.addresses import file_name, is_address, suffix, without_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://camera/1", True),
        ("RTSPS://camera", True),
        ("https://host/a.mp4?b=c", True),
        ("udp://239.0.0.1:1234", True),
        ("s3://bucket/a.mp4", False),
        ("file:///a.mp4", False),
        ("rtsp:camera", False),
        ("folder/http://a", False),
        ("a.mp4", False),
    ],
)
def test_addresses_of_streams_are_known(text, expected):
    assert is_address(text) is expected


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://camera:554/live/1", "rtsp://camera:554/live/1"),
        ("rtsp://anna:secret@camera/1", "rtsp://camera/1"),
        ("rtsp://anna:se@cret@camera/1", "rtsp://camera/1"),
        ("rtsp://camera/1?channel=2&subtype=0", "rtsp://camera/1?channel=2&subtype=0"),
        ("http://h/v?user_pwd=x&channel=2&Token=abc", "http://h/v?user_pwd=…&channel=2&Token=…"),
        ("http://h/v.m3u8?X-Amz-Signature=a%2Fb&e=1#x", "http://h/v.m3u8?X-Amz-Signature=…&e=1"),
        ("rtsp://c/user=a_password=s-e_channel=1.sdp", "rtsp://c/user=a_password=…_channel=1.sdp"),
        ("rtsp://c/user=a&password=s_e&channel=1.sdp", "rtsp://c/user=a&password=…&channel=1.sdp"),
        ("rtsp://c/pwd=secret/1", "rtsp://c/pwd=…/1"),
        ("rtsp://c/keys/1", "rtsp://c/keys/1"),
    ],
)
def test_what_is_secret_is_not_shown(address, shown):
    assert without_secrets(address) == shown


@pytest.mark.parametrize(
    ("address", "name", "ending"),
    [
        ("rtsp://anna:secret@10.0.0.7:554/live/1?token=x", "10.0.0.7_554_live_1", ""),
        ("https://host/clips/a b.MP4", "host_clips_a_b.MP4", ".mp4"),
        ("http://host/../../x", "host_.._.._x", ""),
        ("rtsp://camera/pwd=secret_channel=1", "camera_pwd__channel_1", ""),
        ("udp://@:1234", "1234", ""),
        ("http://@/", "stream", ""),
    ],
)
def test_files_are_named_by_host_and_path(address, name, ending):
    assert (file_name(address), suffix(address)) == (name, ending)


def test_what_is_no_address_is_told_without_it():
    with pytest.raises(ValueError, match="^An address that begins with rtsp:// is none: ") as error:
        without_secrets("rtsp://anna:secret@[::1/x")
    assert "secret" not in str(error.value)
