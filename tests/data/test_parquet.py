"""Parquet files in the layout of the Hugging Face Hub."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from jouleshift.data.sources import load
from jouleshift.errors import BadInput
from tests.data.tiny_images import coloured, encoded

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path, numbers, labels, names=None, columns=("img", "label"), image_type=IMAGE, **options):
    """Rows of pictures whose red value is their number."""
    images = [encoded(coloured(n)) for n in numbers]
    if image_type is IMAGE:
        images = [{"bytes": image, "path": None} for image in images]
    table = pa.table({columns[0]: pa.array(images, image_type), columns[1]: pa.array(labels)})
    if names is not None:
        features = {
            columns[0]: {"_type": "Image"},
            columns[1]: {"names": names, "_type": "ClassLabel"},
        }
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def red(images):
    return images.images[:, 0, 0, 0].tolist()


def halves(n):
    return [i % 2 for i in range(n)]


def test_one_file_is_split_in_three(tmp_path):
    file = write(tmp_path / "birds.parquet", range(40), halves(40), ["crow", "owl"])
    splits = load(str(file), seed=0)
    assert splits.name == "birds"
    assert splits.class_names == ("crow", "owl")
    parts = red(splits.train) + red(splits.val) + red(splits.test)
    assert sorted(parts) == list(range(40))
    for part in (splits.train, splits.val, splits.test):
        assert part.labels.tolist() == [n % 2 for n in red(part)]


def test_the_test_sibling_is_the_test_split(tmp_path):
    train = write(tmp_path / "birds-train.parquet", range(20), halves(20), ["crow", "owl"])
    write(tmp_path / "birds-test.parquet", range(100, 104), halves(4), ["crow", "owl"])
    write(tmp_path / "cats-test.parquet", range(200, 204), halves(4), ["lion", "puma"])
    splits = load(str(train), seed=0)
    assert red(splits.test) == [100, 101, 102, 103]
    assert sorted(red(splits.train) + red(splits.val)) == list(range(20))


def test_a_file_without_a_split_in_its_name_trains_beside_one_for_test(tmp_path):
    write(tmp_path / "birds.parquet", range(20), halves(20))
    write(tmp_path / "birds-test.parquet", range(100, 104), halves(4))
    splits = load(str(tmp_path), seed=0)
    assert red(splits.test) == [100, 101, 102, 103]
    assert sorted(red(splits.train) + red(splits.val)) == list(range(20))
    write(tmp_path / "birds-train.parquet", range(30, 50), halves(20))
    assert "of which split is birds.parquet, beside birds-train.parquet?" in refusal(tmp_path)


def test_validation_and_test_alone_are_no_data_set(tmp_path):
    write(tmp_path / "birds-test.parquet", range(20), halves(20))
    assert len(load(str(tmp_path), seed=0).train) > 0
    write(tmp_path / "birds-val.parquet", range(20), halves(20))
    assert "files for test and val, and none for training" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pa.array(["owl", "crow"] * 10).dictionary_encode(), ("crow", "owl")),
        (pa.array([7, 9] * 10).dictionary_encode(), ("7", "9")),
        (pa.array([True, False] * 10), ("False", "True")),
    ],
)
def test_labels_may_be_coded(tmp_path, labels, names):
    file = write(tmp_path / "x.parquet", range(20), labels, columns=("img", "kind"))
    splits = load(str(file), seed=0)
    assert splits.class_names == names
    told = [names[label] for label in splits.train.labels]
    assert told == [str(labels[n].as_py()) for n in red(splits.train)]


def test_a_coded_column_is_no_rival_of_a_plain_one(tmp_path):
    images = pa.array([{"bytes": encoded(coloured(n)), "path": None} for n in range(20)], IMAGE)
    table = pa.table({"img": images, "kind": halves(20), "cropped": [False] * 20})
    pq.write_table(table, tmp_path / "x.parquet")
    assert load(str(tmp_path), seed=0).class_names == ("0", "1")


def test_shards_in_a_folder_or_by_pattern(tmp_path):
    names = ["crow", "owl"]
    write(tmp_path / "data" / "train-00000-of-00002.parquet", range(10), halves(10), names)
    write(tmp_path / "data" / "train-00001-of-00002.parquet", range(10, 20), halves(10), names)
    write(tmp_path / "data" / "validation-00000-of-00001.parquet", range(50, 54), halves(4), names)
    write(tmp_path / "data" / "test-00000-of-00001.parquet", range(100, 104), halves(4), names)
    for data in (tmp_path / "data", tmp_path / "data" / "*.parquet"):
        splits = load(str(data), seed=0)
        assert red(splits.train) == list(range(20))
        assert red(splits.val) == [50, 51, 52, 53]
        assert red(splits.test) == [100, 101, 102, 103]


def test_splits_as_folders(tmp_path):
    write(tmp_path / "train" / "0000.parquet", range(10), halves(10))
    write(tmp_path / "test" / "0000.parquet", range(100, 104), halves(4))
    splits = load(str(tmp_path), seed=0)
    assert sorted(red(splits.train) + red(splits.val)) == list(range(10))
    assert red(splits.test) == [100, 101, 102, 103]


def test_row_groups_change_nothing(tmp_path):
    whole = write(tmp_path / "a" / "birds.parquet", range(40), halves(40), row_group_size=1000)
    pieces = write(tmp_path / "b" / "birds.parquet", range(40), halves(40), row_group_size=7)
    one, other = (load(str(f), seed=5, limit_train=9) for f in (whole, pieces))
    assert torch.equal(one.train.images, other.train.images)


def test_plain_binary_and_other_names(tmp_path):
    file = write(
        tmp_path / "x.parquet", range(20), halves(20), columns=("picture", "kind"), image_type=pa.binary()
    )
    assert load(str(file), seed=0).class_names == ("0", "1")


def test_text_labels_are_class_names(tmp_path):
    file = write(tmp_path / "x.parquet", range(20), ["owl", "crow"] * 10)
    splits = load(str(file), seed=0)
    assert splits.class_names == ("crow", "owl")
    assert splits.train.labels.tolist() == [1 - n % 2 for n in red(splits.train)]


def test_labels_without_names_may_have_gaps(tmp_path):
    file = write(tmp_path / "x.parquet", range(20), [7, 900] * 10)
    splits = load(str(file), seed=0)
    assert splits.class_names == ("7", "900")
    assert set(splits.train.labels.tolist()) == {0, 1}


def test_an_unlabelled_test_file_is_no_test_split(tmp_path):
    train = write(tmp_path / "b-train.parquet", range(20), halves(20), ["crow", "owl"])
    write(tmp_path / "b-test.parquet", range(100, 104), [-1] * 4, ["crow", "owl"])
    splits = load(str(train), seed=0)
    assert max(red(splits.test)) < 20


def refusal(data):
    with pytest.raises(BadInput) as caught:
        load(str(data), seed=0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_image_column_names_those_there_are(tmp_path):
    pq.write_table(pa.table({"label": [0, 1], "price": [1.0, 2.0]}), tmp_path / "x.parquet")
    message = refusal(tmp_path / "x.parquet")
    assert "label, price" in message
    assert "no image column" in message


def test_no_label_column(tmp_path):
    pq.write_table(pa.table({"img": pa.array([b"x"], pa.binary())}), tmp_path / "x.parquet")
    assert "no label column" in refusal(tmp_path / "x.parquet")


@pytest.mark.parametrize("label", [2, -1, 10**12])
def test_label_out_of_range_is_named_with_its_row(tmp_path, label):
    file = write(tmp_path / "x.parquet", range(20), [*halves(19), label], ["crow", "owl"])
    message = refusal(file)
    assert "row 19" in message
    assert str(label) in message


def test_missing_label_is_named_with_its_row(tmp_path):
    file = write(tmp_path / "x.parquet", range(20), [*halves(7), None, *halves(12)])
    assert "row 7" in refusal(file)


def test_broken_image_is_named_with_its_file_and_row(tmp_path):
    images = [{"bytes": encoded(coloured(n)), "path": None} for n in range(20)]
    images[13]["bytes"] = b"oops"
    images[5]["bytes"] = None
    table = pa.table({"img": pa.array(images, IMAGE), "label": halves(20)})
    pq.write_table(table, tmp_path / "x.parquet")
    assert "x.parquet row " in refusal(tmp_path / "x.parquet")
    splits = load(str(tmp_path / "x.parquet"), seed=0, on_corrupt="skip")
    assert {line.rsplit("row ")[1].split(":")[0] for line in splits.skipped} == {"5", "13"}


def test_empty_file_no_rows_and_cut_off(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    assert "zero bytes" in refusal(tmp_path / "a.parquet")
    assert "no rows" in refusal(write(tmp_path / "b.parquet", [], pa.array([], pa.int64())))
    whole = write(tmp_path / "c.parquet", range(20), halves(20))
    whole.write_bytes(whole.read_bytes()[:-20])
    assert "not a Parquet file, or is cut off" in refusal(whole)


def test_several_data_sets_in_a_folder(tmp_path):
    write(tmp_path / "birds-train.parquet", range(20), halves(20))
    write(tmp_path / "cats.parquet", range(20), halves(20))
    assert "birds, cats" in refusal(tmp_path)


def test_a_pattern_without_match(tmp_path):
    assert "no file matches" in refusal(tmp_path / "*.parquet")


def test_shards_that_disagree(tmp_path):
    write(tmp_path / "train-0001.parquet", range(20), halves(20))
    write(tmp_path / "train-0002.parquet", range(20), halves(20), columns=("img", "target"))
    assert "has no column 'label'" in refusal(tmp_path)


def test_a_damaged_page_is_named_not_a_crash(tmp_path):
    file = write(tmp_path / "x.parquet", range(40), halves(40))
    whole = file.read_bytes()
    refused = 0
    for at in range(8, len(whole) - 300, 41):
        content = bytearray(whole)
        content[at : at + 8] = b"\xff" * 8
        file.write_bytes(content)
        try:
            load(str(file), seed=0)
        except BadInput as error:
            refused += 1
            assert "x.parquet" in str(error)
    assert refused > 10
