"""An object store (moto) with a bucket `archive`, until it is ended: delta_store.py PORT_FILE"""

import pathlib
import sys
import threading

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
host, port = server.get_host_and_port()
keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys).create_bucket(Bucket="archive")
path = pathlib.Path(sys.argv[1])
(path.parent / "port.new").write_text(str(port))
(path.parent / "port.new").rename(path)
threading.Event().wait()
