from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from df2s2_d2.inference.media import video_io
from df2s2_d2.inference.media.sources import (
    LiveOptions,
    camera_source,
    check_output,
    find_sources,
    holds_several,
)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Function that makes empty files below the working directory."""
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> None:
        for name in names:
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make


def paths(*inputs: str, output: Path | None = None) -> list[str]:
    return [source.path.as_posix() for source in find_sources(inputs, output)]


def names(*inputs: str) -> list[str]:
    return [str(source.name) for source in find_sources(inputs)]


def test_folder_stands_for_all_images_and_videos_below_it(tree):
    tree("in/b/two.PNG", "in/b/c/three.jpeg", "in/a.jpg", "in/b/notes.txt", "in/clip.MOV")
    assert paths("in") == ["in/a.jpg", "in/b/c/three.jpeg", "in/b/two.PNG", "in/clip.MOV"]


def test_photographs_of_all_usual_formats_are_found(tree):
    found = ["in/a.GIF", "in/b.jfif", "in/c.heic", "in/d.avif", "in/e.pgm", "in/f.jp2"]
    tree(*found, "in/g.pdf", "in/h.eps", "in/i.svg", "in/j.py")
    assert paths("in") == found


def test_programs_are_no_videos_unless_they_are_named(tree):
    tree("in/main.ts", "in/clip.mp4")
    assert paths("in") == paths("in/*") == ["in/clip.mp4"]
    (source,) = find_sources(["in/main.ts"])
    assert (source.is_video, str(source.name)) == (True, "main.mp4")


def test_file_is_taken_whatever_its_suffix(tree):
    tree("odd.name", "plain")
    assert paths("odd.name", "plain") == ["odd.name", "plain"]


def test_images_come_before_videos_and_else_in_the_order_of_the_inputs(tree):
    tree("b.jpg", "clip.mp4", "a.jpg")
    assert paths("b.jpg", "clip.mp4", "a.jpg") == ["b.jpg", "a.jpg", "clip.mp4"]
    assert [source.is_video for source in find_sources(["clip.mp4", "a.jpg"])] == [False, True]


def test_pattern_is_expanded_at_any_depth(tree):
    tree("in/a.jpg", "in/x/b.jpg", "in/x/y/c.jpg", "in/x/d.png", "in/x/e.txt")
    assert paths("in/*.jpg") == ["in/a.jpg"]
    assert paths("in/**/*.jpg") == ["in/a.jpg", "in/x/b.jpg", "in/x/y/c.jpg"]
    # A folder that a pattern names is searched, and what is neither image nor video is not named.
    assert paths("in/x*") == ["in/x/b.jpg", "in/x/d.png", "in/x/y/c.jpg"]


def test_name_with_signs_of_a_pattern_is_a_file_if_there_is_one(tree):
    tree("photo[1].jpg", "photo1.jpg")
    assert paths("photo[1].jpg") == ["photo[1].jpg"]


def test_file_named_twice_is_taken_once(tree):
    tree("in/a.jpg", "in/b.jpg")
    os.symlink("a.jpg", "in/c.jpg")
    assert paths("in/b.jpg", "in", "./in/a.jpg", "in/*.jpg") == ["in/b.jpg", "in/a.jpg"]


def test_hidden_files_and_folders_are_passed_over(tree):
    tree("in/a.jpg", "in/._a.jpg", "in/.thumbnails/a.jpg")
    assert paths("in") == ["in/a.jpg"]


def test_folder_below_a_hidden_one_can_be_named(tree):
    tree(".cache/photos/a.jpg")
    assert paths(".cache/photos") == [".cache/photos/a.jpg"]


def test_linked_folders_are_looked_into_but_not_round_and_round(tree):
    tree("a/1.jpg", "elsewhere/deep/2.jpg")
    Path("a/linked").symlink_to("../elsewhere")
    Path("elsewhere/back").symlink_to("../a")
    assert paths("a") == ["a/1.jpg", "a/linked/deep/2.jpg"]
    # Each file once, by the first of its names.
    assert paths("a", "elsewhere") == ["a/1.jpg", "a/linked/deep/2.jpg"]


def test_folder_that_cannot_be_read_is_told(tree, monkeypatch, caplog):
    tree("a/1.jpg", "a/private/2.jpg", "a/z/3.jpg")
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("private"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert paths("a") == ["a/1.jpg", "a/z/3.jpg"]
    assert caplog.messages == ["What is in a/private is left out: Permission denied"]


def test_earlier_results_are_not_looked_into(tree):
    tree("in/a.jpg", "in/found/a.jpg", "in/found/crops/a.jpg/1.jpg")
    assert paths("in", output=Path("in/found")) == ["in/a.jpg"]
    assert paths("in/**/*.jpg", output=Path("in/found")) == ["in/a.jpg"]
    assert paths("in", output=Path("./in/../in/found").resolve()) == ["in/a.jpg"]
    # They are if they are what is asked for.
    assert len(paths("in/found", output=Path("in/found"))) == 2
    assert len(paths("in/found/crops", output=Path("in/found"))) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("absent.jpg", "The input absent.jpg does not exist"),
        ("s3://bucket/*.jpg", r"The input s3://bucket/\*.jpg is neither a file of this .* --ray`"),
        ("empty", "The input empty holds no image and no video"),
        ("in/*.jpg", r"The input in/\*.jpg holds no image and no video"),
    ],
)
def test_input_that_gives_nothing_is_named(tree, given, message):
    tree("in/a.png", "empty/notes.txt")
    with pytest.raises(FileNotFoundError, match=f"^{message}$"):
        find_sources(["in/a.png", given])


# Names of the results


def test_results_keep_the_folders_below_the_input(tree):
    tree("in/a.jpg", "in/x/a.jpg", "in/x/y/b.png")
    assert names("in") == ["a.jpg", "x/a.jpg", "x/y/b.png"]
    assert names("in/**/a.jpg") == ["a.jpg", "x/a.jpg"]
    assert names("in/x/y/b.png") == ["b.png"]


def test_like_names_get_numbers_that_no_other_name_has(tree):
    tree("a/face.png", "b/face.png", "c/FACE.png", "d/face_2.png", "e/face.png")
    assert names("a", "b", "c", "d", "e") == [
        "face.png",
        "face_3.png",
        "FACE_4.png",
        "face_2.png",
        "face_5.png",
    ]


def test_many_like_names_are_numbered_one_after_the_other(tree):
    tree(*(f"{folder}/a.jpg" for folder in "vwxyz"), "b/a_3.jpg", "c/A.jpg")
    expected = ["a.jpg", "a_2.jpg", "a_4.jpg", "a_5.jpg", "a_6.jpg", "a_3.jpg", "A_7.jpg"]
    assert names(*(f"{folder}/a.jpg" for folder in "vwxyz"), "b/a_3.jpg", "c/A.jpg") == expected


def test_names_end_in_what_can_be_written(tree):
    tree("a.avi", "a.mp4", "a.TIFF", "a.gif", "a.jfif", "a")
    assert names("a.TIFF", "a.gif", "a.jfif", "a", "a.avi", "a.mp4") == [
        "a.TIFF",
        "a.gif.jpg",
        "a.jfif.jpg",
        "a.jpg",
        "a.mp4",
        "a_2.mp4",
    ]


def test_name_that_is_no_text_becomes_text(tree, tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    tree(f"in/{name}")
    (source,) = find_sources(["in"])
    assert source.path.exists()
    assert str(source.name) == "caf\ufffd.jpg"


def test_source_is_not_overwritten_by_its_result(tree):
    tree("in/a.jpg", "in/x/b.jpg")
    sources = find_sources(["in"])
    check_output(sources, Path("found"))
    with pytest.raises(
        ValueError, match="^in/a.jpg would be overwritten by a picture: choose another --output$"
    ):
        check_output(sources, Path("in"))
    with pytest.raises(ValueError, match="in/x/b.jpg"):
        check_output(find_sources(["in/x/b.jpg"]), Path("in/x/../x"))


def test_source_is_not_overwritten_by_way_of_a_link(tree):
    tree("in/a.jpg", "in/x/b.jpg", "found/other.jpg")
    for link, target in (("found/a.jpg", "../in/a.jpg"), ("found/x", "../in/x")):
        Path(link).symlink_to(target)
        with pytest.raises(ValueError, match="would be overwritten by a picture"):
            check_output(find_sources(["in"]), Path("found"))
        Path(link).unlink()
    check_output(find_sources(["in"]), Path("found"))


def test_an_empty_text_is_not_this_folder(tree):
    tree("a.jpg")
    with pytest.raises(FileNotFoundError, match="An input is an empty text"):
        find_sources([""])


def test_source_is_not_overwritten_by_the_result_of_another(tree):
    tree("a/face.jpg", "b/face.jpg", "b/face_2.jpg")
    sources = find_sources(["a/face.jpg", "b/face.jpg"])
    with pytest.raises(ValueError, match="b/face.jpg would be overwritten"):
        check_output(sources, Path("b"))


def test_camera_is_a_video():
    source = camera_source(1)
    assert source.is_video
    assert (source.camera, str(source.name)) == (1, "webcam1.mp4")


# Streams


def test_streams_are_videos_after_those_before_them(tree):
    tree("a.jpg", "b.mp4")
    inputs = ["rtsp://anna:secret@camera/1", "b.mp4", "a.jpg", "https://host/c.MOV?key=x"]
    live = LiveOptions(reconnect=5, duration=7)
    image, stream, clip, other = find_sources(inputs, live=live)
    assert [str(source.path) for source in (image, stream, clip, other)] == [
        *("a.jpg", "rtsp://camera/1", "b.mp4", "https://host/c.MOV?key=…")
    ]
    assert [str(source.name) for source in (stream, other)] == ["camera_1.mp4", "host_c.mp4"]
    assert [source.is_video for source in (image, stream, clip, other)] == [False, True, True, True]
    assert [source.is_file for source in (image, stream, clip, other)] == [True, False, True, False]
    assert (stream.address, stream.live) == (inputs[0], live)
    assert "secret" not in repr(stream)


def test_streams_that_are_shown_alike_have_names_of_their_own(tree):
    first, second = find_sources(["rtsp://camera/1?channel=1", "rtsp://camera/1?channel=2"])
    assert [str(source.name) for source in (first, second)] == ["camera_1.mp4", "camera_1_2.mp4"]
    assert len(find_sources(["rtsp://camera/1", "rtsp://camera/1"])) == 1


def test_images_on_servers_are_not_fetched():
    with pytest.raises(FileNotFoundError, match="https://host/a.jpg is an image on a server"):
        find_sources(["https://anna:secret@host/a.jpg"])
    assert not holds_several("https://host/a.jpg")
    assert holds_several("https://host/a.mp4") and holds_several("rtsp://camera/1")


def test_streams_need_pyav(monkeypatch):
    monkeypatch.setattr(video_io, "is_pyav_installed", lambda: False)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'df2s2_d2\[video\]'"):
        find_sources(["rtsp://camera/1"])
