"""Looks at the postmaster's page with Chromium, as a person would, and takes pictures of it.

Usage: page.py ADDRESS TOKEN PICTURES MESSAGE HELD SUBJECT
MESSAGE waits with failures, HELD is held with the SUBJECT, which is HTML.
"""

import sys

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

address, token, pictures, message, held, subject = sys.argv[1:]
VIEWS = ["", "queue", "quarantine", "sessions", "plugins", f"message/{message}"]


def browser():
    options = Options()
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,1000"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


driver = browser()
wait = WebDriverWait(driver, 60, ignored_exceptions=[StaleElementReferenceException])


def find(selector):
    return wait.until(lambda _: driver.find_element(By.CSS_SELECTOR, selector))


def said():
    return driver.execute_script("return document.getElementById('main').innerText")


def until(what, condition):
    wait.until(lambda _: condition(), f"{what}; the page says:\n{said()}")


def go(view):
    driver.get(f"{address}/#/{view}")
    driver.execute_script("dispatchEvent(new HashChangeEvent('hashchange'))")
    until(f"the view {view}", lambda: driver.execute_script("return document.querySelector('h1')?.innerText.length > 0"))


def emulate(width, height, scheme):
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})


def picture(name):
    """The whole page, however long it is."""
    import base64

    size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 4000), "scale": 1}
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    with open(f"{pictures}/{name}.png", "wb") as file:
        file.write(base64.b64decode(taken["data"]))


def fits(view):
    """Nothing is wider than the screen."""
    wide, seen = driver.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen, f"{view} is {wide} wide on a screen of {seen}"


# Every button and field has a name; every text stands out enough from what is behind it (WCAG 2.1, 4.5 to 1).
ACCESSIBLE = """
const faults = [];
const rgb = (text) => { const c = document.createElement('canvas').getContext('2d', {willReadFrequently: true}); c.fillStyle = text; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]; };
const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, n) => s + v * [0.2126, 0.7152, 0.0722][n], 0);
const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
for (const e of document.querySelectorAll('body *')) {
  if (!e.checkVisibility() || e.closest('svg, .unseen, .skip, thead')) continue;
  if (['BUTTON', 'A'].includes(e.tagName) && !(e.innerText.trim() || e.getAttribute('aria-label'))) faults.push('no name: ' + e.outerHTML.slice(0, 80));
  if (['INPUT', 'SELECT'].includes(e.tagName) && !e.labels.length) faults.push('no label: ' + e.outerHTML.slice(0, 80));
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
  const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) faults.push(`contrast ${((a + 0.05) / (b + 0.05)).toFixed(2)}: ${e.className} ${e.textContent.slice(0, 40)}`);
}
return [...new Set(faults)];
"""


def accessible(view):
    faults = driver.execute_script(ACCESSIBLE)
    assert not faults, f"{view}: {faults}"


LOOKS = [("light", 1280, 900, "light"), ("dark", 1280, 900, "dark"), ("telephone", 390, 844, "light"), ("telephone-dark", 390, 844, "dark")]


def looks(what):
    """Pictures in every look, and what holds in each."""
    for name, width, height, scheme in LOOKS:
        emulate(width, height, scheme)
        picture(f"{what}-{name}")
        fits(f"{what}-{name}")
        accessible(f"{what}-{name}")
    emulate(1280, 900, "light")


def kept():
    """Every text that the browser keeps for this page."""
    return driver.execute_script("return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")


# Without a token there is a way in and nothing to see, whatever view is asked for.
emulate(1280, 900, "light")
for view in ["", "#/queue", f"#/message/{message}"]:
    driver.get(f"{address}/{view}")
    find("#token")
    until("the way in", lambda: "Sign in" in said() and "elsewhere.example" not in said())
looks("sign-in")
# Nothing typed is no try; a wrong token says so, and leaves the field for the next one.
find("button[type=submit]").click()
assert "wrong" not in said() and driver.find_elements(By.CSS_SELECTOR, "#token:invalid"), said()
find("#token").send_keys("wax_wrong")
find("button[type=submit]").click()
until("a wrong token to be refused", lambda: "wrong" in said())
assert driver.execute_script("return document.activeElement.id") == "token"
assert "wax_wrong" not in kept(), kept()
looks("sign-in-refused")
find("#token").send_keys(token)
find("button[type=submit]").click()
# The way leads to what was asked for before.
until("the message", lambda: len(driver.find_elements(By.CSS_SELECTOR, ".steps li")) > 0)
find("a[href='#/queue']").click()
until("the queue", lambda: "elsewhere.example" in said())
driver.refresh()
until("the queue, without being asked again", lambda: "elsewhere.example" in said())
go("")
until("the overview", lambda: "What became of mail" in said())
assert driver.execute_script("return document.getElementById('host').innerText") == "mx.example.org"

for name, width, height, scheme in LOOKS:
    emulate(width, height, scheme)
    for view in VIEWS:
        go(view)
        place = f"{view.split('/')[0] or 'overview'}-{name}"
        picture(place)
        fits(place)
        accessible(place)

# What is shown is what there is.
emulate(1280, 900, "light")
go("")
assert driver.execute_script("return document.querySelectorAll('svg.plot rect.delivered').length") > 0
go(f"message/{message}")
until("the attempts of a message", lambda: len(driver.find_elements(By.CSS_SELECTOR, ".steps li")) > 0)
go("plugins")
until("the plugins", lambda: "tag-headers" in said() and "95 % within" in said())
find("[data-key='reload-tag-headers']").click()
until("a plugin to be read again", lambda: "was read again" in driver.execute_script("return document.getElementById('said').innerText"))

# HTML in a subject is text: there is no such element, and nothing ran.
go("quarantine")
until("the held message", lambda: subject in said())
find(f"[data-key='look-{held}']").click()
until("the preview", lambda: "the text of it" in said())
picture("preview")
assert not driver.execute_script("return document.querySelectorAll('main img, main script').length || window.ran || 0")
# The keyboard leads to what is wanted, and stays there while the page looks again.
driver.execute_script("document.querySelector(arguments[0]).focus()", f"[data-key='look-{held}']")
find(f"[data-key='release-{held}']").click()
until("the message to be released", lambda: subject not in said())

# Removing asks first; no is no.
go(f"message/{message}")
find(f"[data-key='remove-{message}']").click()
until("the question", lambda: driver.execute_script("return document.getElementById('ask').open"))
picture("question")
find("#ask button[value=no]").click()
until("the answer", lambda: not driver.execute_script("return document.getElementById('ask').open"))
assert "no longer in the queue" not in said()

# Nothing was asked of anybody else, and nothing that the policy forbids was tried.
named = driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
assert named and all(name.startswith(address) for name in named), named
faults = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE" and " 401 " not in entry["message"]]
assert not faults, faults

find("#leave").click()
until("the way out", lambda: "Sign in" in said())
assert token not in kept(), kept()
for again in [driver.refresh, driver.back]:
    again()
    until("it to last", lambda: "Sign in" in said() and "elsewhere.example" not in said())
looks("signed-out")
driver.quit()
print("looked at", len(VIEWS) * 4, "pages")
