"""Checks an OCI archive and unpacks its root folder: `unpack_image.py ARCHIVE FOLDER`. For `packaging/try.sh`."""

import gzip
import hashlib
import io
import json
import sys
import tarfile


def main():
    archive, folder = sys.argv[1:]
    with tarfile.open(archive) as outer:
        content = {entry.name: outer.extractfile(entry).read() for entry in outer if entry.isfile()}
    assert json.loads(content["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}

    def blob(descriptor):
        algorithm, digest = descriptor["digest"].split(":")
        data = content[f"blobs/{algorithm}/{digest}"]
        assert len(data) == descriptor["size"] and hashlib.sha256(data).hexdigest() == digest, descriptor
        return data

    (of_manifest,) = json.loads(content["index.json"])["manifests"]
    manifest = json.loads(blob(of_manifest))
    config = json.loads(blob(manifest["config"]))
    for layer, diff in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        tar = gzip.decompress(blob(layer))
        assert f"sha256:{hashlib.sha256(tar).hexdigest()}" == diff
        with tarfile.open(fileobj=io.BytesIO(tar)) as inner:
            inner.extractall(folder, numeric_owner=True)
    print(json.dumps(config["config"], indent=2))


main()
