# Installs the wheel of this checkout beside its tests: `. scripts/installed.sh`, after
# environment.sh. Leaves the Python that has the wheel in $installed, and the working
# directory in a copy of everything but the package: nothing there shadows the wheel.

work=$root/build/installed-$(basename "$venv")
rm -rf -- "$work"
mkdir -p "$work/wheel" "$work/beside"
# By way of the sdist: no file of an earlier build can get into the wheel.
"$python" -m build --no-isolation --outdir "$work/wheel" "$root" >"$work/build.log" 2>&1 \
  || stop "the wheel could not be built; see $work/build.log"

# An environment that sees the packages of $venv and, of ours, the wheel alone: a .pth
# file adds the folder without reading the .pth files in it, so no editable install.
"$python" -m venv --without-pip "$work/venv"
installed=$work/venv/bin/python
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$("$installed" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$packages" >"$own/packages.pth"
"$python" -m pip --python "$installed" install --quiet --disable-pip-version-check \
  --no-deps --ignore-installed "$work"/wheel/*.whl \
  || stop "the wheel could not be installed; see the lines above."

tar -C "$root" -cf - --exclude=__pycache__ --exclude=results \
  tests examples experiments scripts benchmarks deploy docs mkdocs.yml \
  README.md CONTRIBUTING.md CHANGELOG.md LICENSE CITATION.cff pyproject.toml setup.cfg \
  | tar -C "$work/beside" -xf -
export CHECKOUT=$root
cd -- "$work/beside"
where=$("$installed" -c 'import attn_research; print(attn_research.__file__)')
case $where in
  "$own"/*) ;;
  *) stop "the tests would import $where, not the wheel" ;;
esac
