"""A service that asks another one while it scores, and a program that asks an engine."""

from scorespan import startup

startup.start()

import sys
import urllib.request

import botocore.session
import httpx
import requests


def serve(port: int, other: str) -> None:
    """A scoring of this service makes two calls."""
    import fastapi
    import uvicorn

    app = fastapi.FastAPI()

    @app.get("/")
    def ready():
        return {}

    @app.post("/score")
    def score(body: dict):
        requests.get(other, timeout=30)
        httpx.post(other, json=body)
        return {"predictions": [1]}

    uvicorn.run(app, port=port, log_level="warning")


def ask(url: str) -> None:
    """One scoring by each client."""
    body = b'{"instances": [[1, 2]]}'
    headers = {"Content-Type": "application/json"}
    requests.post(url, body, headers=headers, timeout=30)
    httpx.post(url, content=body, headers=headers)
    urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30).read()
    session = botocore.session.Session()
    session.set_credentials("key", "secret")
    base = url.rpartition("/")[0]
    api = session.create_client("sagemaker-runtime", region_name="eu-west-1", endpoint_url=base)
    answer = api.invoke_endpoint(EndpointName="credit", ContentType="application/json", Body=body)
    print(answer["Body"].read().decode())
    print([name for name in sys.modules if name in {"fastapi", "flask", "starlette"}])


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), sys.argv[3])
    else:
        ask(sys.argv[2])
