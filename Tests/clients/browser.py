"""Chromium without a window, and a relying party at another origin, for the pages of the sign-in.

PAGES_SHOTS=FOLDER keeps a picture of each page that a test asks one of.
"""

import http.server
import os
import shutil
import threading

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

WAIT_SECONDS_MAX = 20
DESK, PHONE = (1280, 800), (360, 740)

# Of each text: what it is written in, and on. Transparent layers are mixed with what is below.
CONTRASTS = """
const rgb = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b; };
const ratio = (a, b) => { const [x, y] = [light(a), light(b)]; return (Math.max(x, y) + .05) / (Math.min(x, y) + .05); };
const under = e => { const layers = [];
  for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); layers.push(c); if (c[3] === 1) break; }
  return layers.reverse().reduce((low, top) => [0, 1, 2].map(i => low[i] * (1 - top[3]) + top[i] * top[3]), [255, 255, 255]); };
const found = [];
for (const e of document.querySelectorAll('main, main *')) {
  if (!e.getClientRects().length) continue;
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || (e.tagName === 'INPUT' && e.type !== 'hidden');
  const style = getComputedStyle(e);
  if (own) found.push(['text', e.tagName + ' ' + (e.textContent || e.name).slice(0, 30), ratio(rgb(style.color), under(e))]);
  if ((e.tagName === 'INPUT' && e.type !== 'hidden') || e.matches('button.quiet, button.choice'))
    found.push(['edge', e.tagName + ' ' + (e.name || e.textContent), ratio(rgb(style.borderTopColor), under(e.parentElement))]);
}
return found;
"""


class Party(http.server.ThreadingHTTPServer):
    """Keeps what came to it. `/onward` leads to another origin, as a client's callback may."""

    daemon_threads = True

    def __init__(self, port, onward):
        self.came = []
        party = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                party.came.append(self.path)
                if self.path.startswith("/onward"):
                    self.send_response(302)
                    self.send_header("location", onward)
                    self.end_headers()
                    return
                body = b"<!doctype html><html lang=en><link rel=icon href=data:,><title>Arrived</title><p>arrived"
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                length = int(self.headers.get("content-length", 0))
                party.came.append(self.rfile.read(length).decode())
                self.path = "/posted"
                self.do_GET()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()


class Browser:
    """One window; `fresh` makes it a new person's."""

    def __init__(self, folder):
        options = webdriver.ChromeOptions()
        for word in [
            "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run", "--disable-extensions",
            "--disable-background-networking", "--hide-scrollbars", f"--user-data-dir={folder}",
        ]:
            options.add_argument(word)
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(WAIT_SECONDS_MAX)

    def cdp(self, name, **parameters):
        return self.driver.execute_cdp_cmd(name, parameters)

    def fresh(self):
        handles = self.driver.window_handles
        for handle in handles[1:]:
            self.driver.switch_to.window(handle)
            self.driver.close()
        self.driver.switch_to.window(handles[0])
        self.cdp("Network.clearBrowserCookies")
        self.cdp("Emulation.setScriptExecutionDisabled", value=False)
        self.look()
        self.driver.get("about:blank")
        self.driver.get_log("browser")

    def look(self, size=DESK, dark=False, scale=1):
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=scale, mobile=size[0] < 500)
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def complaints(self):
        """What the browser refused to do because of a policy, and errors of scripts. That a page has status 400 is none."""
        return [
            entry["message"] for entry in self.driver.get_log("browser")
            if entry["source"] in ("security", "javascript") or "ecurity policy" in entry["message"].lower()
        ]

    def open(self, url):
        self.driver.get(url)

    @property
    def title(self):
        return self.driver.title

    @property
    def url(self):
        return self.driver.current_url

    @property
    def text(self):
        return self.driver.find_element(By.TAG_NAME, "body").text

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def back_tab(self):
        ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()

    def until(self, done):
        return WebDriverWait(self.driver, WAIT_SECONDS_MAX, poll_frequency=0.05).until(lambda _: done())

    def leave(self, act):
        """Does what leads to another document, and waits until that one is there."""
        self.script("document.documentElement.dataset.before = 'yes'")
        act()
        self.until(lambda: self.script("return document.readyState === 'complete' && !document.documentElement.dataset.before"))

    def click(self, selector):
        self.leave(lambda: self.find(selector).click())

    def sign_in(self, name, password):
        field = self.find("#username")
        field.clear()
        field.send_keys(name)
        self.find("#password").send_keys(password)
        self.leave(lambda: self.press(Keys.ENTER))

    def focus(self):
        """What has the focus: an id, or what a button sends."""
        return self.script(
            "const e = document.activeElement; return e.id || (e.tagName === 'BUTTON' && (e.value || 'submit')) || e.getAttribute('href')"
            " || e.tagName")

    def accessible(self):
        """(role, name, description) of everything that can be used or must be said, as assistive technology is told."""
        wanted = {"textbox", "button", "link", "alert", "heading"}
        found = []
        for node in self.cdp("Accessibility.getFullAXTree")["nodes"]:
            role = node.get("role", {}).get("value")
            if not node.get("ignored") and role in wanted:
                found.append((role, node.get("name", {}).get("value", ""), node.get("description", {}).get("value", "")))
        return found

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def contrasts(self):
        return self.script(CONTRASTS)

    def shoot(self, name):
        folder = os.environ.get("PAGES_SHOTS")
        if not folder:
            return
        os.makedirs(folder, exist_ok=True)
        self.driver.save_screenshot(os.path.join(folder, name + ".png"))

    def stop(self):
        self.driver.quit()
