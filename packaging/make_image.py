"""Makes a container image as an OCI archive: `make_image.py PROGRAM VERSION OUTPUT`.

The archive is a tar file with `oci-layout`, `index.json` and blobs named by their SHA-256, as the OCI image format says;
`podman load`, `skopeo copy oci-archive:…` and `docker load` (from version 25) read it. A static program is alone in the
image; for another one, its libraries are beside it.
"""

import datetime
import hashlib
import json
import os
import sys

from archive import TIME, Tree, compressed, read, shared_libraries

# The account in the image, which owns its folders.
ACCOUNT = 10001


def layer(program):
    tree = Tree()
    tree.file("usr/bin/brigade", read(program), 0o755)
    tree.file("etc/passwd", f"root:x:0:0::/:/\nbrigade:x:{ACCOUNT}:{ACCOUNT}::/data:/\n")
    tree.file("etc/group", f"root:x:0:\nbrigade:x:{ACCOUNT}:\n")
    for folder in ["data", "data/share", "data/home"]:
        tree.folder(folder, 0o755, ACCOUNT)
    tree.folder("tmp", 0o1777)
    for library in shared_libraries(program):
        tree.file(library.lstrip("/"), read(os.path.realpath(library)), 0o755)
    return tree


def main():
    program, version, output = sys.argv[1:]
    blobs = Tree()

    def blob(kind, content):
        digest = hashlib.sha256(content).hexdigest()
        blobs.file(f"blobs/sha256/{digest}", content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    def text(value):
        return json.dumps(value, sort_keys=True).encode()

    tar = layer(program).tar()
    of_layer = blob("application/vnd.oci.image.layer.v1.tar+gzip", compressed(tar))
    created = datetime.datetime.fromtimestamp(TIME, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = {
        "created": created,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": f"{ACCOUNT}:{ACCOUNT}",
            "ExposedPorts": {"12000/tcp": {}, "12001/tcp": {}},
            "Env": [
                "PATH=/usr/bin",
                "BRIGADE_HOME=/data/home",
                "BRIGADE_FOLDER=/data/share",
                "BRIGADE_LOG_FORMAT=json",
            ],
            "Entrypoint": ["/usr/bin/brigade"],
            "Cmd": ["--help"],
            "Volumes": {"/data": {}},
            "WorkingDir": "/data",
            "StopSignal": "SIGTERM",
            "Labels": {"org.opencontainers.image.version": version, "org.opencontainers.image.title": "brigade"},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
        "history": [{"created": created, "created_by": "packaging/make_image.py"}],
    }
    of_config = blob("application/vnd.oci.image.config.v1+json", text(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": of_config,
        "layers": [of_layer],
    }
    of_manifest = blob(manifest["mediaType"], text(manifest))
    of_manifest["annotations"] = {"org.opencontainers.image.ref.name": version}
    of_manifest["platform"] = {"architecture": "amd64", "os": "linux"}
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [of_manifest],
    }
    blobs.file("index.json", text(index))
    blobs.file("oci-layout", text({"imageLayoutVersion": "1.0.0"}))
    with open(output, "wb") as file:
        file.write(blobs.tar())


main()
