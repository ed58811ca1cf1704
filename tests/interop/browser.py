#!/usr/bin/env python3
"""The demo's page in a browser: Chromium, headless, driven through chromedriver (W3C WebDriver), at a phone's width and at a
desk's, light and dark, while the server is killed. Its feed and a download of its own go on over one connection each.

--pictures FOLDER keeps a picture of each."""

import base64
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import time

from lib_interop import ADDRESS, Failure, expect, main, started_server

KILLS = 5
DOWNLOAD = 120_000_000


class Browser:
    def __init__(self, directory):
        self.port = 9515
        # Nothing of it is to look for hosts elsewhere: there are none.
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
                     f"--user-data-dir={directory}/profile"]
        self.process = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                if self.call("GET", "/status")["ready"]:
                    break
            except OSError:
                pass
            expect(time.monotonic() < deadline, "chromedriver does not answer")
            time.sleep(0.1)
        options = {"goog:chromeOptions": {"args": arguments}}
        self.session = "/session/" + self.call("POST", "/session", {"capabilities": {"alwaysMatch": options}})["sessionId"]

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = json.load(connection.getresponse())["value"]
        finally:
            connection.close()
        if isinstance(answer, dict) and "error" in answer:
            raise Failure(f"{path}: {answer['message'].splitlines()[0]}")
        return answer

    def post(self, path, **body):
        return self.call("POST", self.session + path, body)

    def run(self, script):
        return self.post("/execute/sync", script=script, args=[])

    def text(self, element):
        return self.run(f"return document.getElementById('{element}').textContent")

    def until(self, what, condition, limit=60):
        deadline = time.monotonic() + limit
        while not condition():
            expect(time.monotonic() < deadline, f"not within {limit} s: {what}")
            time.sleep(0.05)

    def dress(self, width, scheme):
        self.post("/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride",
                  params={"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600})
        self.post("/goog/cdp/execute", cmd="Emulation.setEmulatedMedia",
                  params={"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def picture(self):
        return base64.b64decode(self.call("GET", self.session + "/screenshot"))

    def close(self):
        try:
            if hasattr(self, "session"):
                self.call("DELETE", self.session)
        finally:
            self.process.terminate()
            self.process.wait(20)


def number(browser, element):
    digits = "".join(c for c in browser.text(element).split(" of ")[0] if c.isdigit())
    return int(digits or 0)


def look(browser, width, scheme, pictures):
    browser.dress(width, scheme)
    wide = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    expect(wide[1] == width and wide[0] <= width, f"at {width}: the page is {wide[0]} wide in a window of {wide[1]}")
    text, page = browser.run("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
    light = [sum(int(part) for part in colour[colour.index("(") + 1:-1].split(",")[:3]) for colour in (text, page)]
    expect((light[0] > light[1]) == (scheme == "dark") and abs(light[0] - light[1]) > 300, f"{scheme}: {text} on {page}")
    if pictures:
        with open(os.path.join(pictures, f"page-{width}-{scheme}.png"), "wb") as file:
            file.write(browser.picture())


def over_kills(browser, server):
    """The page's own download and its feed, through kills; a longer absence is shown, and ends."""
    before = number(browser, "restarts")
    browser.run("document.getElementById('start').click()")
    browser.until("the download begins", lambda: number(browser, "got") > 0)
    kills = 0
    while kills < KILLS:
        server.kill()
        kills += 1
        if kills == 2:
            browser.until("the absence shows", lambda: "is away" in browser.text("state"))
        server.start()
        seen = number(browser, "count")
        browser.until("events go on", lambda: number(browser, "count") > seen)
        browser.until("it serves again", lambda: browser.text("state") == "serving")
        time.sleep(random.uniform(0, 0.3))
    browser.until("the restarts are counted", lambda: number(browser, "restarts") == before + kills)
    browser.until("the restarts are on the curve",
                  lambda: browser.run("return document.querySelectorAll('#curve line').length") > 0)
    browser.until("the download ends", lambda: "complete, over one connection" in browser.text("got"), limit=240)
    expect(number(browser, "got") == DOWNLOAD, browser.text("got"))
    expect(float(browser.text("top")) > 0, "the curve shows no rate")
    expect(browser.text("opened") == "1", f"the feed was opened {browser.text('opened')} times")
    expect("after" not in browser.text("count"), f"events are missing: {browser.text('count')}")


def test(directory):
    pictures = sys.argv[sys.argv.index("--pictures") + 1] if "--pictures" in sys.argv else None
    server = started_server(directory)
    browser = Browser(directory)
    try:
        browser.dress(1280, "light")
        browser.post("/url", url=f"http://[{ADDRESS}]/#bytes={DOWNLOAD}")
        browser.until("events come", lambda: number(browser, "count") > 2)
        over_kills(browser, server)
        for width in (390, 1280):
            for scheme in ("light", "dark"):
                look(browser, width, scheme, pictures)
        expect("after" not in browser.text("count") and browser.text("opened") == "1", "the feed broke")
    finally:
        browser.close()
    server.terminate()


if not shutil.which("chromedriver"):
    print("skipped: there is no chromedriver (Debian's chromium-driver)")
    sys.exit(77)
main(test)
