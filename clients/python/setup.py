"""Makes what is not kept in the repository: the stubs of the contract, and the tables of digesting. A source distribution has them already."""

import pathlib
import shutil

from setuptools import setup

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGE = HERE / "src/selfsame"


def make():
    import grpc_tools
    from grpc_tools import protoc

    shutil.copy(ROOT / "clients/go/digest/tables.json", PACKAGE / "digesting/tables.json")
    (PACKAGE / "v1").mkdir(exist_ok=True)
    (PACKAGE / "v1/__init__.py").write_text('"""Generated of proto/selfsame/v1."""\n', encoding="utf-8")
    out, includes = str(PACKAGE.parent), [str(ROOT / "proto"), str(pathlib.Path(grpc_tools.__file__).parent / "_proto")]
    files = [str(path) for path in sorted((ROOT / "proto/selfsame/v1").glob("*.proto"))]
    flags = [f"-I{folder}" for folder in includes] + [f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
    if protoc.main(["protoc", *flags, *files]) != 0:
        raise SystemExit("the contract could not be compiled")


if (ROOT / "proto/selfsame/v1").is_dir():
    make()
setup()
