"""Networks by VGSL string: what is built is what the string says, and padding never changes a result."""

import keras
import numpy as np
import pytest

from export import runtime
from export.onnx_file import to_onnx
from zoo.families.line_ocr.network import LineOcr, LineOcrConfig
from zoo.families.line_ocr.vgsl import parse
from zoo.text.characters import Vocabulary

TESSERACT = "[1,36,0,1Ct3,3,8Mp3,3Lfys12Lfx16Lrx16Lfx16O1c1]"
KRAKEN = "[1,32,0,1 Cr{C_0}3,13,8 Do{D}0.1,2 Mp2,2 Gn4 Cr4,5,8,2,2 Bn Mp2,2 S1(1x0)1,3 Lbx16 Do Grx10 O1c40]"
ROWS = "[1,24,0,1 Cs3,3,4 Mp2,2 Lby5 Lrys6 Gbx7 O1s9]"
SAME = "[1,22,0,1 Cts4,5,3,3,2 Mps3,4,2,3 Cls2,1,2 Mps2,2 S1(1x0)1,3 Lbx5 O1c9]"
OTHERS = {
    "tesseract": (TESSERACT, "stretched"), "kraken": (KRAKEN, "ink"), "rows": (ROWS, "stretched"),
    "same": (SAME, "ink"),
}  # fmt: skip


def task_of(which, characters="abcdefgh ,.123"):
    keras.utils.set_random_seed(1)
    text, contrast = OTHERS[which]
    task = LineOcr(LineOcrConfig(vgsl=text, contrast=contrast), Vocabulary(characters))
    random = np.random.default_rng(0)  # weights of which each makes a difference
    shaken = {
        path: value + random.normal(0, 0.2, value.shape) * (0 if path.endswith("variance") else 1)
        for path, value in task.weights().items()
    }
    task.set_weights(shaken)
    return task


@pytest.fixture(params=OTHERS)
def task(request):
    return task_of(request.param)


def test_what_is_read_from_a_string():
    spec = parse(TESSERACT)
    assert spec.height == 36 and spec.stride == 3 and spec.shortest == 3
    assert [kind for kind, _ in spec.layers] == [
        "convolution", "maximum", "recurrent", "recurrent", "recurrent", "recurrent", "scores"
    ]  # fmt: skip
    assert spec.columns(100) == [100, 100, 33, 33, 33, 33, 33, 33]
    assert parse(KRAKEN).stride == 8


@pytest.mark.parametrize("width", [1, 12, 37, 38, 39, 40, 41])
def test_same_is_what_keras_calls_so_of_each_line_alone(width):
    task = task_of("same")
    random = np.random.default_rng(2)
    image = np.zeros((2, 41, 22, 1), "float32")
    image[0], image[1, :width] = random.normal(size=(41, 22, 1)), random.normal(size=(width, 22, 1))
    inner = keras.Model(task.network.inputs, task.network.get_layer("rows_0").output)
    found = inner({"image": image, "columns": np.int32([41, width])})[1]
    x = image[1:, :width]
    for layer in task.network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            settings = {"padding": "same", "activation": layer.activation}
            alone = keras.layers.Conv2D(layer.filters, layer.kernel_size, layer.strides, **settings)
            alone.build(x.shape)
            alone.set_weights(layer.get_weights())
            x = alone(x)
        elif isinstance(layer, keras.layers.MaxPooling2D):
            x = keras.layers.MaxPooling2D(layer.pool_size, layer.strides, padding="same")(x)
    count = task.spec.columns(width)[-1]
    assert count == x.shape[1]
    np.testing.assert_allclose(found[:count, 0], np.reshape(x[0], (count, -1)), atol=1e-5)


@pytest.mark.parametrize(("text", "why"), [
    ("1,48,0,1 Lfx3", "no VGSL string"), ("[1,48,0,1 Cz3,3,3 O1c1]", "'Cz3,3,3 O1c1' that is known"),
    ("[1,0,0,1 Lfx3]", "an image of a line has a height"), ("[1,48,0,3 Lfx3]", "1 channel"),
    ("[1,48,0,1 Lfx3 O1c1]", "needs a single row"), ("[1,48,0,1 Cr3,3,8 O1c1]", "48 rows are left"),
    ("[1,4,0,1 Mp9,2 S1(1x0)1,3 O1c1]", "leaves no row"),
    ("[1,4,0,1 S1(1x0)1,3 Lfxs3 O1c1]", "no characters"),
    ("[1,4,0,1 S1(1x0)1,3 O1c1 Lfx2]", "is the last layer"), ("[1,4,0,1 Mp2,0 O1c1]", "has no pixel"),
])  # fmt: skip
def test_strings_that_cannot_be(text, why):
    with pytest.raises(ValueError, match=why.replace("(", r"\(")):
        LineOcrConfig(vgsl=text)


def served(task, images):
    image, size = runtime.pad_lines([one[:, :, None] for one in images])
    return {
        name: np.asarray(value) for name, value in task.compiled_serve({"image": image, "size": size}).items()
    }


def test_padding_never_changes_a_result(task, draw_line, some_texts):
    images = [draw_line(text, size=14 + 5 * i) for i, text in enumerate(some_texts[:5])]
    images.append(np.full((40, 5), 200, np.uint8))  # narrower than a frame
    together = served(task, images)
    for i, one in enumerate(images):
        alone = served(task, [one])
        frames = alone["lengths"][0]
        assert together["lengths"][i] == frames >= 1
        np.testing.assert_allclose(
            together["log_probs"][i, :frames], alone["log_probs"][0, :frames], atol=2e-4
        )
        assert frames == max(1, task.frames(max(task.spec.shortest, int(task_columns(task, one)))))


def task_columns(task, image):
    from zoo.images.normalise import columns_at_height

    return columns_at_height(*map(float, image.shape), task.config.height)


@pytest.mark.parametrize("which", ["tesseract", "rows"])
def test_saved_exported_and_read_alike(which, tmp_path, draw_line, some_texts):
    import onnx

    task = task_of(which)
    images = [draw_line(text, size=22) for text in some_texts[:3]]
    task.save(tmp_path / "task")
    import zoo

    again = zoo.load(tmp_path / "task")
    assert again.config == task.config and again.config.vgsl
    to_onnx(again, str(tmp_path / "line.onnx"))  # verifies against Keras
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "line.onnx")).graph.node]
    assert {"LSTM"} <= set(kinds) and not {"Loop", "Scan"} & set(kinds)
    reader = runtime.load(tmp_path / "line.onnx")
    for ours, theirs in zip(again.predict(images, details=True), reader(images, details=True), strict=True):
        assert ours.text == theirs.text
        assert [one.end for one in ours.characters] == pytest.approx([one.end for one in theirs.characters])
