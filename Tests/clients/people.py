"""A person with a browser that runs no scripts: keeps cookies, reads forms, signs in and agrees.

As a program (`people.py URL [USER PASSWORD]`, for the variable BROWSER) it does what the person would with that address.
"""

import html.parser
import os
import sys
import urllib.parse

import requests

AUTH = os.environ.get("QUICKSTART_AUTH", "http://localhost:8080")
PAGES_MAX = 10


class Form(html.parser.HTMLParser):
    """The only form of a page: where it goes, and its fields with their values. Buttons are named and not among the fields."""

    def __init__(self, text):
        super().__init__()
        self.action, self.method, self.title, self.fields, self.buttons, self.tags = None, None, "", {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            assert self.action is None, "a page has one form"
            self.action, self.method = given["action"], given["method"]
        elif tag == "input" and "name" in given:
            self.fields[given["name"]] = given.get("value") or ""
        elif tag == "button" and "name" in given:
            self.buttons.append((given["name"], given.get("value")))
        if tag not in ("input", "meta", "link", "img", "br"):
            self.tags.append(tag)

    def handle_endtag(self, tag):
        if self.tags and self.tags[-1] == tag:
            self.tags.pop()

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "title":
            self.title += data


class Refused(AssertionError):
    """A page that says so, and no way on."""


class Person:
    """Signs in when asked, and agrees when asked; `seen` are the titles of the pages of the last visit."""

    def __init__(self, username="alice", password="correct-horse-battery"):
        self.username, self.password = username, password
        self.browser = requests.Session()
        self.seen = []

    def visit(self, url, away=AUTH, form=None):
        """Goes to `url`, with a form when there is one, and on until Gatehouse leads elsewhere: that address, and the form that goes there
        (or None). `seen` are then the pages in between."""
        self.seen = []
        answer = self.browser.request("POST" if form else "GET", url, data=form, allow_redirects=False, timeout=10)
        for _ in range(PAGES_MAX):
            if answer.is_redirect:
                url = urllib.parse.urljoin(answer.url, answer.headers["location"])
                if not url.startswith(away + "/"):
                    return url, None
                answer = self.browser.get(url, allow_redirects=False, timeout=10)
                continue
            page = Form(answer.text)
            self.seen.append(page.title)
            if answer.status_code != 200:
                raise Refused(f"{answer.status_code} {page.title}: {answer.text}")
            target = urllib.parse.urljoin(answer.url, page.action or "")
            if page.action and not target.startswith(away + "/"):
                return target, page.fields
            answer = self.browser.post(target, data={**page.fields, **self.answer(page)}, allow_redirects=False, timeout=10)
        raise AssertionError(f"too many pages: {self.seen}")

    def answer(self, page):
        if "password" in page.fields:
            assert self.seen.count(page.title) == 1, "signing in did not work"
            return {"username": self.username, "password": self.password}
        assert ("answer", "allow") in page.buttons, f"what to do with the page {page.title!r}?"
        return {"answer": "allow"}

    def authorize(self, url):
        """The address of the client that the person is led back to."""
        back, form = self.visit(url)
        assert form is None, "the answer came as a form"
        return back


def parameters(url):
    """Of a redirect's query; each at most once."""
    pairs = urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), f"a parameter stands twice in {url}"
    return dict(pairs)


if __name__ == "__main__":
    answer = requests.get(Person(*sys.argv[2:]).authorize(sys.argv[1]), timeout=30)
    sys.exit(0 if answer.status_code == 200 else 1)
