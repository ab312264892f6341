"""Every format, read from files as its tool writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from export_files import SIZE_WH, coco, write_image, write_json, write_text
from test_regions import BRUSH

from lpnet_rt.errors import DataError
from lpnet_rt.training.imports.formats import read_labels, recognise_format
from lpnet_rt.training.imports.labels import Labels, ObjectLabel
from lpnet_rt.training.imports.source import LabelSource


def read(path: Path, media: Path | None = None) -> tuple[str, Labels]:
    source = LabelSource(path, media)
    key = recognise_format(source)
    return key, read_labels(source, key)


def box(label: ObjectLabel) -> tuple[float, ...]:
    return tuple(round(value, 2) for value in label.box_xywh)


def test_coco(tmp_path: Path) -> None:
    for n in (1, 2):
        write_image(tmp_path / "images" / f"a_{n}.png", n)
    points = [22, 11, 2, 0, 0, 0, 30, 20, 1]
    polygon = [[20.0, 9.0, 25.0, 9.0, 23.0, 14.0]]
    annotations = [
        {"image_id": 1, "bbox": [19, 8, 7, 7], "segmentation": []},
        {"image_id": 1, "bbox": [0, 0, 0, 0], "keypoints": points, "num_keypoints": 2},
        {"image_id": 1, "bbox": [20, 9, 5, 5], "segmentation": polygon, "category_id": 2},
        {"image_id": 1, "bbox": [1, 1, 2, 2], "segmentation": {"size": [40, 56], "counts": [41, 2, 2197]}},
        {"image_id": 1, "bbox": [1, 1, 4, 2], "segmentation": [[1, 1, 5, 1, 5, 3, 1, 3]]},
    ]
    write_json(tmp_path / "annotations" / "instances_train.json", coco(["a_1.png", "a_2.png"], annotations))
    key, labels = read(tmp_path)
    first, second = labels.images
    assert key == "coco"
    assert [box(one) for one in first.objects] == [
        (19, 8, 7, 7), (14, 3, 16, 16), (22, 12, 16, 16), (20, 9, 5, 4), (1, 1, 1, 2), (1, 1, 4, 2)
    ]  # fmt: skip
    assert [one.region is not None for one in first.objects] == [False, False, False, True, True, False]
    assert first.objects[3].category == "sun"
    assert (second.objects, second.size_wh, second.split) == ((), SIZE_WH, "train")


def test_coco_of_recordings(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    tree = coco(["a.png"], [])
    tree["images"][0]["video_id"] = 7
    tree["videos"] = [{"id": 7, "name": "flight"}]
    write_json(tmp_path / "labels.json", tree)
    assert read(tmp_path / "labels.json")[1].images[0].recording == "flight"


def test_yolo(tmp_path: Path) -> None:
    for n, part in ((1, "train"), (2, "val")):
        write_image(tmp_path / "images" / part / f"a_{n}.png", n)
    write_text(tmp_path / "data.yaml", "path: ../elsewhere\ntrain: images/train\nval: images/val\nnames:\n  0: drone\n")
    lines = "0 0.5 0.5 0.25 0.2\n0 0.1 0.1 0.2 0.1 0.15 0.3\n\n"
    write_text(tmp_path / "labels" / "train" / "a_1.txt", lines)
    key, labels = read(tmp_path)
    first, second = labels.images
    assert (key, first.split, second.split, second.objects) == ("yolo", "train", "val", ())
    assert [box(one) for one in first.objects] == [(21.0, 16.0, 14.0, 8.0), (6, 4, 5, 8)]
    assert [one.region is not None for one in first.objects] == [False, True]
    assert first.objects[0].category == "drone"


def test_yolo_beside_its_images_with_classes(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    write_text(tmp_path / "a.txt", "1 0.5 0.5 0.25 0.2")
    write_text(tmp_path / "classes.txt", "bird\ndrone\n")
    assert read(tmp_path)[1].images[0].objects[0].category == "drone"


def test_voc(tmp_path: Path) -> None:
    write_image(tmp_path / "JPEGImages" / "a_1.png")
    write_image(tmp_path / "JPEGImages" / "a_2.png")
    write_text(
        tmp_path / "Annotations" / "a_1.xml",
        "<annotation><folder>VOC</folder><filename>a_1.png</filename><size><width>56</width><height>40</height>"
        "<depth>1</depth></size><object><name>drone</name><difficult>0</difficult><bndbox><xmin>20</xmin>"
        "<ymin>9</ymin><xmax>26</xmax><ymax>14</ymax></bndbox></object></annotation>",
    )
    source = LabelSource(tmp_path)
    labels = read_labels(source, recognise_format(source))
    assert [box(one) for one in labels.images[0].objects] == [(19, 8, 7, 6)]
    assert labels.images[0].size_wh == SIZE_WH
    assert source.notes == [f"{tmp_path}: images without an XML file: 1; they count as not labelled"]


def test_cvat_images(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "sub" / "a_1.png")
    write_text(
        tmp_path / "annotations.xml",
        '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task><mode>annotation</mode>'
        '</task></meta><image id="0" name="sub/a_1.png" subset="Validation" width="56" height="40">'
        '<box label="drone" xtl="19.0" ytl="8.0" xbr="26.0" ybr="14.0" occluded="0" z_order="0"></box>'
        '<box label="drone" xtl="10" ytl="10" xbr="20" ybr="12" rotation="90"></box>'
        '<polygon label="drone" points="20.0,9.0;25.0,9.0;23.0,14.0"></polygon>'
        '<points label="drone" points="30.0,20.0;40.0,20.0"></points>'
        '<mask label="drone" rle="1, 2, 3" left="4" top="5" width="3" height="2"></mask>'
        '<ellipse label="drone" cx="30" cy="20" rx="6" ry="3"></ellipse><tag label="good"></tag></image></annotations>',
    )
    key, labels = read(tmp_path)
    objects = labels.images[0].objects
    assert (key, labels.images[0].split) == ("cvat", "val")
    assert [box(one) for one in objects] == [
        (19, 8, 7, 6), (14, 6, 2, 10), (20, 9, 5, 4), (22, 12, 16, 16), (32, 12, 16, 16), (5, 5, 2, 1), (24, 17, 12, 6)
    ]  # fmt: skip
    assert objects[5].region is not None
    assert objects[6].region is not None
    assert objects[6].region.inside.sum() == pytest.approx(np.pi * 18, rel=0.1)


CVAT_VIDEO = (
    "<annotations><version>1.1</version><meta><task><name>t</name><mode>interpolation</mode>{extra}<original_size>"
    "<width>56</width><height>40</height></original_size><source>{source}</source></task></meta>"
    '<track id="0" label="drone"><box frame="0" outside="0" keyframe="1" xtl="10" ytl="10" xbr="14" ybr="14"></box>'
    '<box frame="2" outside="0" keyframe="1" xtl="14" ytl="10" xbr="18" ybr="16"></box>'
    '<box frame="3" outside="1" keyframe="1" xtl="14" ytl="10" xbr="18" ybr="16"></box></track></annotations>'
)


def test_cvat_video_as_frames(tmp_path: Path) -> None:
    for n in range(4):
        write_image(tmp_path / "images" / f"frame_{n:06d}.png", n)
    write_text(tmp_path / "annotations.xml", CVAT_VIDEO.format(source="flight.mp4", extra=""))
    key, labels = read(tmp_path)
    video = labels.videos[0]
    assert (key, video.name, len(video.frames)) == ("cvat", "flight", 4)
    assert {frame: [box(one) for one in found] for frame, found in video.objects.items()} == {
        0: [(10, 10, 4, 4)], 1: [(12, 10, 4, 5)], 2: [(14, 10, 4, 6)]
    }  # fmt: skip


def test_cvat_video_of_every_second_frame(tmp_path: Path) -> None:
    for n in range(2):
        write_image(tmp_path / "images" / f"frame_{n:06d}.png", n)
    extra = "<start_frame>0</start_frame><frame_filter>step=2</frame_filter>"
    write_text(tmp_path / "annotations.xml", CVAT_VIDEO.format(source="flight.mp4", extra=extra))
    assert sorted(read(tmp_path)[1].videos[0].objects) == [0, 1]


def task(name: str, results: list[dict[str, object]], **annotation: object) -> dict[str, object]:
    common = {"original_width": 56, "original_height": 40, "image_rotation": 0}
    result = [{"id": f"r{n}", **common, **one} for n, one in enumerate(results)]
    return {"id": 1, "data": {"image": name}, "annotations": [{"id": 1, "result": result, **annotation}]}


def test_label_studio_images(tmp_path: Path) -> None:
    for name in ("a_1.png", "b 2.png", "c_3.png", "d_4.png"):
        write_image(tmp_path / "pics" / name)
    square = {"x": 25, "y": 25, "width": 12.5, "height": 25, "rotation": 0, "rectanglelabels": ["drone"]}
    results = [
        {"type": "rectanglelabels", "value": square},
        {"type": "rectanglelabels", "value": square | {"rotation": 90}},
        {"type": "polygonlabels", "value": {"points": [[50, 50], [75, 50], [50, 100]], "polygonlabels": ["drone"]}},
        {"type": "keypointlabels", "value": {"x": 50, "y": 50, "width": 0.4, "keypointlabels": ["drone"]}},
        {"type": "brushlabels", "value": {"format": "rle", "rle": BRUSH, "brushlabels": ["drone"]}},
        {"type": "ellipselabels", "value": {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "rotation": 0}},
        {"type": "choices", "value": {"choices": ["good"]}},
    ]
    tree = [
        task("/data/upload/3/1a2b3c4d-a_1.png", results),
        task("/data/local-files/?d=pics/b%202.png", []),
        task("https://host/c_3.png?token=x", [], was_cancelled=True),
        {"id": 4, "data": {"image": "/data/upload/3/d_4.png"}, "annotations": [], "predictions": [{"result": results}]},
    ]
    path = write_json(tmp_path / "project.json", tree)
    source = LabelSource(path, tmp_path / "pics")
    labels = read_labels(source, recognise_format(source))
    first, second = labels.images
    assert [box(one) for one in first.objects] == [
        (14, 10, 7, 10), (4, 10, 10, 7), (28, 20, 14, 19), (20, 12, 16, 16), (7, 10, 19, 21), (22, 16, 12, 8)
    ]  # fmt: skip
    assert [one.region is not None for one in first.objects] == [False, False, True, False, True, True]
    assert (second.path.name, second.objects) == ("b 2.png", ())
    assert source.notes == [f"{path}: tasks without a submitted annotation: 2"]


def test_label_studio_shape_and_label_in_two_results(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    place = {"x": 25, "y": 25, "width": 12.5, "height": 25, "rotation": 0}
    results = [
        {"id": "same", "type": "rectangle", "value": place},
        {"id": "same", "type": "labels", "value": place | {"labels": ["drone"]}},
    ]
    write_json(tmp_path / "x.json", [task("a.png", results)])
    assert [(one.category, box(one)) for one in read(tmp_path)[1].images[0].objects] == [("drone", (14, 10, 7, 10))]


def test_mot(tmp_path: Path) -> None:
    for n in range(1, 4):
        write_image(tmp_path / "train" / "S1" / "img1" / f"{n:06d}.png", n)
    write_text(
        tmp_path / "train" / "S1" / "seqinfo.ini",
        "[Sequence]\nname=S1\nimDir=img1\nframeRate=25\nseqLength=3\nimWidth=56\nimHeight=40\nimExt=.png\n",
    )
    write_text(
        tmp_path / "train" / "S1" / "gt" / "gt.txt", "1,1,20,9,7,6,1,1,0.9\n3,1,22.5,9,7,6,1,1,1\n3,2,5,5,4,4,0,8,1\n"
    )
    key, labels = read(tmp_path)
    video = labels.videos[0]
    assert (key, video.name, video.rate_hz, video.frame_count, video.split) == ("mot", "S1", 25.0, 3, "train")
    assert {frame: [box(one) for one in found] for frame, found in video.objects.items()} == {
        0: [(19, 8, 7, 6)], 2: [(21.5, 8, 7, 6)]
    }  # fmt: skip
    assert video.ignored_xy == {2: [(6.0, 6.0)]}


def test_no_format_and_two_formats(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"expected labels in a known format, found none of these: coco: a JSON file"):
        read(tmp_path)
    write_json(tmp_path / "a.json", coco(["a.png"], []))
    write_text(tmp_path / "classes.txt", "drone\n")
    with pytest.raises(DataError, match=r"found coco \(a.json\) and yolo \(classes.txt\); name one with --format"):
        read(tmp_path)
