"""The folder that goes into a firmware project: it builds as it is, anywhere, beside another, under any name that C leaves free."""

import json
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import yaml

from edge_anp import reference, target
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.topology import InputContract
from targets.mcu import TARGET, build, lower, run
from targets.mcu.cores import CORES

SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
NET = random_network(5)


def program(words, limit_s=300):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=limit_s)


def test_the_folder_builds_as_it_is(tmp_path):
    """With CMake, with warnings as errors on the host and on a core, and its programs do what they say."""
    net = replace(NET, input=InputContract(NET.input.shape, 0.001, 0.5), decode="membrane_last")
    made = target.compile_to(TARGET, net, tmp_path / "mcu", None, [], {"prefix": "sensor"}).folder
    raster = random_raster(net, 1, 9)
    subprocess.run(
        ["cmake", "-S", made, "-B", tmp_path / "b", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror"],
        check=True,
        timeout=300,
        capture_output=True,
    )
    subprocess.run(["cmake", "--build", tmp_path / "b"], check=True, timeout=300, capture_output=True)
    text = " ".join(map(str, raster.reshape(-1).tolist()))
    done = subprocess.run(
        [tmp_path / "b" / "example"], input=text, capture_output=True, text=True, timeout=300, check=True
    )
    want = int(np.argmax(reference.run(net, raster).states[-1]["v"][-1]))
    assert done.stdout == f"9 steps, answer {want}\n"
    check = build.compile_host(
        [made / f for f in ("selftest.c", "model.c", "edge_anp.c")], tmp_path / "selftest", [made], build.WARNINGS
    )
    assert "every spike and state is as compiled" in program([check]).stdout
    m4 = CORES["m4"]
    for name in ("main", "selftest", "bench"):
        build.compile_core(
            m4,
            [made / f for f in (f"{name}.c", "model.c", "edge_anp.c")],
            tmp_path / name,
            [made],
            ("-O2", "-Wall", "-Wextra", "-Werror"),
        )
    done = subprocess.run(run.emulate(m4, tmp_path / "selftest"), capture_output=True, text=True, timeout=300)
    assert "sensor: every spike and state is as compiled" in done.stderr + done.stdout
    left = [
        p
        for p in made.rglob("*")
        if p.suffix in (".c", ".h", ".txt", ".md", ".json", ".yml", ".yaml", ".conf") and "@" in p.read_text()
    ]
    assert left == []


def test_two_networks_share_a_program_and_a_runtime(tmp_path):
    """Names begin with the prefix, so nothing clashes; each golden vector is found again."""
    for seed, prefix in ((1, "left"), (2, "right")):
        (tmp_path / prefix).mkdir()
        lower.lower(random_network(seed), tmp_path / prefix, "", ("host",), prefix)
    (tmp_path / "main.c").write_text(
        '#include "left_model.h"\n#include "right_model.h"\nstatic uint32_t a[LEFT_STATE_BYTES / 4], b[RIGHT_STATE_BYTES / 4];\n'
        "int main(void)\n{\n    return ea_init(&left, a, sizeof a) || ea_init(&right, b, sizeof b) ||\n"
        "           ea_selftest(&left, a, &left_golden, 0) || ea_selftest(&right, b, &right_golden, 0);\n}\n"
    )
    folders = [tmp_path / "left", tmp_path / "right"]
    sources = [tmp_path / "main.c", tmp_path / "left" / "edge_anp.c", *(f / "model.c" for f in folders)]
    assert program([build.compile_host(sources, tmp_path / "both", folders, SANITIZED)]).returncode == 0


@pytest.mark.parametrize(
    "prefix", ["Digits", "9lives", "int", "class", "state", "int8_t", "linux", "ea_net", "a-b", "", "a" * 33]
)
def test_a_prefix_that_is_no_c_name_is_refused(prefix, tmp_path):
    with pytest.raises(ValueError, match="it must be a C name"):
        lower.lower(NET, tmp_path, "", ("host",), prefix)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_the_benchmark_runs_on_a_core(core, tmp_path):
    """Without warnings on each; where QEMU has the counter it counts, and where it stands still, that is said."""
    lower.lower(NET, tmp_path, "", ("host",))
    files = [tmp_path / f for f in ("bench.c", "model.c", "edge_anp.c")]
    warnings = ("-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror")
    build.compile_core(CORES[core], files, tmp_path / "bench", [tmp_path], warnings)
    done = program(run.emulate(CORES[core], tmp_path / "bench", count=True), 60)
    said = done.stderr + done.stdout
    counted = re.search(r"network: (\d+) cycles a step, (\d+) at most", said)
    if core in ("m0", "m0plus", "rv32"):  # SysTick, minstret
        assert counted is not None, said
        assert 100 < int(counted[1]) <= int(counted[2])
    else:
        assert "network: the counter stands still" in said


@pytest.mark.parametrize("options", ["-O0", "-Os", "-O3", "-O2 -flto", "-O2 -funsigned-char -fshort-enums"])
@pytest.mark.parametrize("compiler", ["cc", "clang"])
def test_golden_vectors_under_any_option(compiler, options, tmp_path):
    lower.lower(NET, tmp_path, "", ("host",))
    files = [tmp_path / f for f in ("selftest.c", "model.c", "edge_anp.c")]
    done = program([compiler, "-std=c99", *options.split(), "-I", tmp_path, *files, "-o", tmp_path / "selftest"])
    assert done.returncode == 0, done.stderr
    assert "every spike and state is as compiled" in program([tmp_path / "selftest"]).stdout


def test_cpp_includes_it(tmp_path):
    lower.lower(NET, tmp_path, "", ("host",), "eyes")
    (tmp_path / "app.cpp").write_text(
        '#include "eyes_model.h"\nstatic uint32_t state[EYES_STATE_BYTES / 4];\n'
        "int main() { return ea_init(&eyes, state, sizeof state) || ea_selftest(&eyes, state, &eyes_golden, 0); }\n"
    )
    build.run(["cc", *build.WARNINGS, "-c", "edge_anp.c", "model.c"], tmp_path)
    words = ["-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror", "app.cpp", "edge_anp.o", "model.o", "-o", "app"]
    build.run(["clang++", *words], tmp_path)
    assert program([tmp_path / "app"]).returncode == 0


def test_build_systems_find_what_their_formats_ask_for(tmp_path):
    """The keys of PlatformIO's library.json, Arduino's library.properties, Zephyr's module.yml and sample.yaml; the files exist."""
    lower.lower(NET, tmp_path, "", ("host",), "eyes")
    library = json.loads((tmp_path / "library.json").read_text())
    assert {"name", "version"} <= set(library)
    assert (tmp_path / library["headers"]).is_file()
    assert all((tmp_path / f[2:-1]).is_file() for f in library["build"]["srcFilter"])
    arduino = dict(line.split("=", 1) for line in (tmp_path / "library.properties").read_text().splitlines())
    needed = "name version author maintainer sentence paragraph category url architectures"
    assert set(needed.split()) <= set(arduino)
    assert arduino["category"] == "Data Processing"
    assert (tmp_path / arduino["includes"]).is_file()
    module = yaml.safe_load((tmp_path / "zephyr/module.yml").read_text())
    assert set(module) == {"name", "build", "samples"}
    assert (tmp_path / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (tmp_path / module["build"]["kconfig"]).is_file()
    files = [tmp_path / f for f in ("selftest.c", "model.c", "edge_anp.c")]
    selftest = build.compile_host(files, tmp_path / "selftest", [tmp_path])
    (sample,) = module["samples"]
    said = yaml.safe_load((tmp_path / sample / "sample.yaml").read_text())
    ((name, case),) = said["tests"].items()
    assert re.fullmatch(r"[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)+", name)
    assert set(case) == {"tags", "harness", "harness_config"}
    assert program([selftest]).stdout.startswith(case["harness_config"]["regex"][0])


def test_the_runtime_has_no_warnings(tmp_path):
    lower.lower(NET, tmp_path, "", ("host",))
    compilers = [["cc"], *([core.compiler, *core.flags] for core in CORES.values())]
    for words in [*compilers, ["clang"]]:
        for file in ("edge_anp.c", "model.c"):
            done = program(
                [*words, *build.WARNINGS, "-ffreestanding", "-O2", "-c", tmp_path / file, "-o", tmp_path / "x.o"]
            )
            assert done.returncode == 0, done.stderr
