"""A trained VAE leaves the notebook: served by plain TensorFlow, and as a page that a browser runs alone.

(The third way, a .keras file loaded in a fresh process, is in test_models.py.)
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import quickjs

import vae_helpers as vh

import keras  # isort: skip
import tensorflow as tf  # isort: skip

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
import export_decoder  # noqa: E402
from pdf import CHROMIUM  # noqa: E402

MODELS = {
    "dense": lambda: vh.mlp_vae(hidden=(16, 12), image_shape=(8, 8, 1), seed=1),
    "continuous Bernoulli": lambda: vh.mlp_vae(
        3, (16, 12), "tanh", 0.1, "continuous_bernoulli", image_shape=(8, 8, 1), seed=2
    ),
    "odd, in colour": lambda: vh.conv_vae(3, (4, 6), image_shape=(9, 11, 3), seed=3),
    "Gaussian": lambda: vh.conv_vae(12, (5, 7), "gaussian", image_shape=(8, 13, 3), seed=4),
    "given labels": lambda: vh.conv_vae(2, (4, 6), image_shape=(8, 8, 1), seed=5, classes=3),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request) -> vh.VAE:
    """With large weights, as a trained one has, so that pixels come near their ends."""
    model = MODELS[request.param]()
    random = np.random.default_rng(0)
    model.decoder.set_weights([2 * w + 0.4 * random.normal(size=w.shape) for w in model.decoder.get_weights()])
    return model


@pytest.fixture
def points(model) -> np.ndarray:
    """Usual ones, some far out, and z = 0, where a decoder without biases has logits of 0."""
    z = np.random.default_rng(1).normal(size=(6, model.latent_dim)).astype(np.float32)
    return np.concatenate([0 * z[:1], z, 3 * z[:2]])


def means(model, z, label=None) -> np.ndarray:
    """What TensorFlow says, one row of pixels for each point."""
    if label is None:
        return model.likelihood(z).mean().numpy().reshape(len(z), -1)
    with model.given(label):
        return model.likelihood(z).mean().numpy().reshape(len(z), -1)


# --- served by TensorFlow ---------------------------------------------------------------------------------------------

SERVING = """
import json, sys
import numpy as np
import tensorflow as tf

x, z = (np.load(path) for path in sys.argv[4:])
whole, decoder, both = (tf.saved_model.load(path) for path in sys.argv[1:4])
served = {"reconstruction": whole.serve(x), "logits": decoder.serve(z), **both.encode(x), "decoded": both.decode(z)}
known = sorted({name.split(".")[0] for name in sys.modules} & {"vae_helpers", "tensorflow_probability"})
print("RESULT" + json.dumps([known, {name: value.numpy().tolist() for name, value in served.items()}]))
"""


@pytest.mark.slow
def test_plain_tensorflow_serves_what_was_exported(small_vae, grey_images, tmp_path, start_python, finish):
    """Reconstruction, decoder, and (μ, σ) with the decoder's mean, in a process that does not know this package."""
    model = small_vae(scale="softplus")
    z = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    model.export(tmp_path / "whole", verbose=False)
    model.decoder.export(tmp_path / "decoder", verbose=False)

    def encode(x):
        q = model.posterior(x)
        return {"mu": q.mean(), "sigma": q.stddev()}

    both = keras.export.ExportArchive()
    both.track(model)
    both.add_endpoint("encode", encode, [tf.TensorSpec([None, *model.image_shape])])
    both.add_endpoint("decode", lambda z: model.likelihood(z).mean(), [tf.TensorSpec([None, model.latent_dim])])
    both.write_out(tmp_path / "both", verbose=False)
    np.save(tmp_path / "x.npy", grey_images)
    np.save(tmp_path / "z.npy", z)
    files = [tmp_path / name for name in ("whole", "decoder", "both", "x.npy", "z.npy")]
    printed, _ = finish(start_python(SERVING, *files), "serving in a fresh process")
    known, served = json.loads(printed.split("RESULT")[1])
    assert known == []
    q, p = model.posterior(grey_images), model.likelihood(z)
    expected = {
        "reconstruction": model.reconstruct(grey_images),
        "logits": p.distribution.logits,
        "mu": q.mean(),
        "sigma": q.stddev(),
        "decoded": p.mean(),
    }
    assert served.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(served[name], value, atol=1e-5, err_msg=name)


# --- the page's numbers -----------------------------------------------------------------------------------------------


@pytest.fixture
def run_page():
    """A function that runs a page's scripts in QuickJS and returns what an expression on its data is worth."""

    def run(data: dict, expression: str):
        context = quickjs.Context()
        context.add_callable("atob", lambda text: base64.b64decode(text).decode("latin-1"))
        for script in (export_decoder.NETWORKS, export_decoder.SCRIPT):
            context.eval(script.read_text("utf-8"))
        context.eval(f"const data = {json.dumps(data)}; const decode = makeDecoder(data)")
        return json.loads(context.eval(f"JSON.stringify({expression})"))

    return run


def test_the_page_decodes_what_tensorflow_decodes(model, points, run_page):
    data = export_decoder.decoder_data(model)
    for label in data["labels"] or [None]:
        decoded = run_page(data, f"{points.tolist()}.map((z) => Array.from(decode(z, {json.dumps(label)})))")
        expected = means(model, points, label)
        assert np.max(np.abs(np.array(decoded) - expected)) < 1e-3
        assert np.ptp(expected) > 0.5


def test_every_activation_is_that_of_keras(run_page):
    layers = keras.layers
    for name in export_decoder.ACTIVATIONS:
        decoder = keras.Sequential(
            [layers.Input((2,)), layers.Dense(9, activation=name, use_bias=False), layers.Dense(4)]
        )
        z = np.float32([[2.0, -3.0], [-0.5, 0.1]])
        decoded = run_page(
            {"layers": export_decoder.layers_of(decoder), "likelihood": "gaussian", "shape": [1, 2, 1]},
            f"{z.tolist()}.map((z) => Array.from(decode(z)))",
        )
        np.testing.assert_allclose(decoded, decoder(z)[:, ::2], atol=1e-4, err_msg=name)


def test_the_mean_of_a_continuous_bernoulli(run_page):
    logits = [-200.0, -9.0, -0.11, -0.09, -1e-6, 0.0, 1e-3, 0.09, 0.11, 3.0, 200.0]
    data = {"layers": [], "likelihood": "continuous_bernoulli", "shape": [1, 1, 1]}
    by_page = run_page(data, f"{logits}.map(continuousBernoulliMean)")
    from scipy.integrate import quad

    def mean(logit):  # from the density, which is proportional to exp(x · logit)
        density = lambda x: np.exp(logit * (x - (logit > 0)))  # noqa: E731
        return quad(lambda x: x * density(x), 0, 1)[0] / quad(density, 0, 1)[0]

    np.testing.assert_allclose(by_page, [mean(logit) for logit in logits], atol=1e-6)


def test_sliders_come_in_the_order_of_their_effect():
    model = vh.mlp_vae(12, (), image_shape=(8, 8, 1), likelihood="gaussian", seed=0)
    kernel, bias = model.decoder.layers[0].get_weights()
    sizes = 4 * 0.5 ** np.random.default_rng(0).permutation(12)[::-1]
    sizes[sizes < 0.01] = 0
    kernel = sizes[:, None] * kernel / np.linalg.norm(kernel.reshape(12, 64, 2)[:, :, :1], axis=1)
    model.decoder.layers[0].set_weights([kernel, bias])
    effects = export_decoder.effects(model, draws=400)
    np.testing.assert_allclose(effects, sizes**2, rtol=0.3)  # Var(z_j) = 1, times the squared length of its row
    assert np.all(effects[sizes == 0] == 0)
    assert export_decoder.decoder_data(model)["sliders"] == np.argsort(-sizes, kind="stable").tolist()


# --- what cannot be a page --------------------------------------------------------------------------------------------


def joined(*layers, shape=(2,)):
    return keras.Sequential([keras.layers.Input(shape), *layers])


def branched():
    z = keras.layers.Input((2,))
    return keras.Model(z, keras.layers.Add()([keras.layers.Dense(2)(z), z]))


def skipping():
    z = keras.layers.Input((2,))
    first, second = keras.layers.Dense(2), keras.layers.Dense(2)
    return keras.Model(z, keras.layers.Concatenate()([first(z), second(z)]))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            lambda: joined(keras.layers.Dense(2), keras.layers.BatchNormalization()),
            r"\(BatchNormalization\): expected a network of Dense",
        ),
        (lambda: joined(keras.layers.Dense(2, activation="gelu")), "'gelu': expected one of elu, linear, relu"),
        (lambda: joined(keras.layers.Conv2DTranspose(2, 3, 2), shape=(4, 4, 1)), "expected padding='same'"),
        (lambda: joined(keras.layers.Conv2DTranspose(2, 3, (2, 1), "same"), shape=(4, 4, 1)), "same stride twice"),
        (lambda: joined(keras.layers.Dense(2), shape=(4, 1)), "expected flat numbers"),
        (lambda: joined(keras.layers.Reshape((1, 2, 1))), "expected it after a layer"),
        (branched, r"\(Add\): expected a chain"),
        (skipping, "expected a chain"),
    ],
)
def test_networks_that_the_page_cannot_run_are_named(network, message):
    with pytest.raises(ValueError, match=f"The page cannot run the layer .*{message}"):
        export_decoder.layers_of(network())


def test_the_command_says_what_it_cannot_use(tmp_path):
    joined(keras.layers.Dense(2)).save(tmp_path / "net.keras")
    vh.mlp_vae(hidden=(4,), image_shape=(8, 8, 2)).save(tmp_path / "two.keras")
    for name, message in {"none": "not found", "net": "expected a VAE .* got a Sequential", "two": "got C = 2"}.items():
        with pytest.raises(SystemExit, match=message):
            export_decoder.main([str(tmp_path / f"{name}.keras"), str(tmp_path / "page.html")])
    assert not list(tmp_path.glob("*.html"))


# --- the page in a browser --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this system (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield started
        started.close()


def until(page, condition: str) -> None:
    """Waits for a condition of the page, whose policy forbids the `eval` of Playwright's `wait_for_function`."""
    page.evaluate(
        f"new Promise((done) => {{ const look = () => ({condition}) ? done() : setTimeout(look, 50); look(); }})"
    )


@pytest.fixture
def visit(browser, tmp_path, capsys):
    """Saves a model, makes its page by the command, and opens it from the disk; `page.wrong` is what went wrong."""
    contexts = []

    def open_page(model, name="My decoder & <b>", **settings):
        model.save(tmp_path / f"{name}.keras")
        target = tmp_path / "page.html"
        export_decoder.main([str(tmp_path / f"{name}.keras"), str(target)])
        assert f"J = {model.latent_dim}" in capsys.readouterr().out
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.wrong = []
        page.on("console", lambda message: message.type == "error" and page.wrong.append(message.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("request", lambda one: one.url.startswith((target.as_uri(), "data:")) or page.wrong.append(one.url))
        page.goto(target.as_uri())
        until(page, "decoderPage.pixels && !decoderPage.pending")
        return page

    yield open_page
    for context in contexts:
        context.close()


def painted(page) -> np.ndarray:
    """The picture on the screen, in [0, 1]: [H · W, 3]."""
    until(page, "!decoderPage.pending")
    values = page.evaluate(
        """() => {
            const { picture } = decoderPage;
            return Array.from(picture.getContext("2d").getImageData(0, 0, picture.width, picture.height).data);
        }"""
    )
    return np.reshape(values, (-1, 4))[:, :3] / 255


@pytest.mark.slow
def test_the_browser_shows_what_tensorflow_decodes(model, points, visit):
    page = visit(model)
    channels, label = model.image_shape[2], None
    if model.classes:
        page.locator("#label").select_option("2")
        label = 2
    for z, expected in zip(points, means(model, points, label), strict=True):
        page.evaluate("(z) => decoderPage.move(z)", z.tolist())
        shown = painted(page)
        pixels = page.evaluate("Array.from(decoderPage.pixels)")
        assert np.max(np.abs(pixels - expected)) < 1e-3
        wanted = np.broadcast_to(np.clip(expected, 0, 1).reshape(-1, channels), shown.shape)
        assert np.max(np.abs(shown - wanted)) < 1 / 255
    assert page.get_by_role("heading").text_content() == "My decoder & <b>"
    assert page.wrong == []


@pytest.mark.slow
def test_a_page_cannot_ask_for_anything(visit):
    """The policy in the page's head, which the browser keeps: also what a changed script might ask for is refused."""
    page = visit(MODELS["dense"]())
    asked = "fetch('https://example.org/').then(() => 'answered', () => 'refused')"
    assert page.evaluate(asked) == "refused"
    assert "Content Security Policy" in page.wrong[0] and not any(url.startswith("https") for url in page.wrong)


@pytest.mark.slow
@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "finger"])
def test_the_point_follows_mouse_finger_and_keys(visit, touch):
    size = {"width": 320, "height": 640} if touch else {"width": 1280, "height": 900}
    page = visit(MODELS["dense"](), viewport=size, has_touch=touch)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    plane = page.locator(".plane")
    plane.scroll_into_view_if_needed()
    area = plane.bounding_box()
    spot = {"x": 0.75 * area["width"], "y": 0.25 * area["height"]}
    if touch:
        plane.tap(position=spot)
    else:
        page.mouse.move(area["x"] + 5, area["y"] + 5)
        page.mouse.down()
        page.mouse.move(area["x"] + spot["x"], area["y"] + spot["y"], steps=3)
        page.mouse.up()
        page.mouse.move(area["x"] + 5, area["y"] + 5)  # only a pressed button drags
    assert np.allclose(page.evaluate("decoderPage.z"), [1.75, 1.75], atol=0.05)  # right and up
    page.evaluate("decoderPage.move([0, 0])")
    plane.focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert np.allclose(page.evaluate("decoderPage.z"), [-0.2, -0.4])
    assert page.locator(".said").text_content() == "z = (−0.20, −0.40)"
    for _ in range(9):
        page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("decoderPage.z[0]") == 3.5  # the plane ends there
    assert page.wrong == []


@pytest.mark.slow
def test_sliders_and_buttons_move_z_by_the_keyboard_alone(visit):
    model = MODELS["Gaussian"]()
    page = visit(model, viewport={"width": 320, "height": 640})
    assert page.locator(".plane").is_hidden() and page.locator(".choice").is_hidden()
    order = page.evaluate("decoderData.sliders")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    drawn = page.evaluate("decoderPage.z")
    assert len({round(value, 6) for value in drawn}) == 12 and np.abs(drawn).max() < 6
    shown = [page.locator(f"#z{j + 1} + span").text_content().replace("−", "-") for j in range(12)]
    np.testing.assert_allclose(np.float64(shown), drawn, atol=0.006)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.evaluate("decoderPage.z") == [0] * 12
    page.keyboard.press("Tab")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expected = np.where(np.arange(12) == order[0], 0.15, 0)
    np.testing.assert_allclose(page.evaluate("decoderPage.z"), expected, atol=1e-9)
    np.testing.assert_allclose(painted(page).ravel(), np.clip(means(model, [expected])[0], 0, 1), atol=1 / 255)
    for _ in range(10):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the other two are folded
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert page.evaluate("decoderPage.z")[order[10]] == 3.5
    assert page.get_by_role("slider").count() == 12 and page.wrong == []


@pytest.mark.slow
def test_the_mosaic_shows_what_is_decoded_in_the_middle_of_each_tile(visit):
    model = MODELS["given labels"]()
    model.seen.assign([1, 0, 1])
    page = visit(model)
    assert page.locator("#label option").all_text_contents() == ["0", "2"]  # those that it was trained on
    page.locator("#label").select_option("2")
    read = """() => {
        const { data } = document.querySelector(".plane canvas").getContext("2d").getImageData(0, 0, 104, 104);
        return Array.from(data);
    }"""
    until(page, f"({read})().every((value, i) => i % 4 < 3 || value === 255)")
    mosaic = np.reshape(page.evaluate(read), (13, 8, 13, 8, 4))[..., 0] / 255
    line = 3.5 * ((2 * np.arange(13) + 1) / 13 - 1)
    grid = np.stack(np.meshgrid(line, line[::-1]), axis=-1).reshape(-1, 2).astype(np.float32)
    expected = means(model, grid, 2).reshape(13, 13, 8, 8)
    np.testing.assert_allclose(mosaic.transpose(0, 2, 1, 3), expected, atol=1 / 255)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["given labels", "Gaussian"])
def test_axe_finds_nothing(visit, scheme, name):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(MODELS[name](), color_scheme=scheme, viewport={"width": 390, "height": 844})
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[scheme]
    found = Axe().run(page).response
    assert "color-contrast" in {rule["id"] for rule in found["passes"]}
    assert [(rule["id"], rule["nodes"][0]["html"][:120]) for rule in found["violations"]] == []
