"""The pages of the sign-in, as people have them: Chromium, at several sizes, by keyboard, without scripts, in the dark.

After each test: the browser refused nothing because of a policy, and no script failed.
"""

import time
import urllib.parse

import browser as chromium
import oauth
import pytest
import requests
from people import Person, parameters
from selenium.webdriver.common.keys import Keys

NORA, OMAR, LONG = ("nora", "paper-moon-harbour"), ("omar", "paper-moon-harbour"), (oauth.LONG_ACCOUNT, "paper-moon-harbour")


@pytest.fixture(scope="module")
def party():
    arrival = chromium.Party(oauth.PORTS["onward"], "")
    server = chromium.Party(oauth.PORTS["party"], oauth.ONWARD + "/home")
    server.arrival = arrival
    yield server
    server.stop()
    arrival.stop()


@pytest.fixture(scope="module")
def window(clients, tmp_path_factory):
    window = chromium.Browser(tmp_path_factory.mktemp("chromium"))
    yield window
    window.stop()


@pytest.fixture
def page(window, party):
    window.fresh()
    party.came.clear()
    party.arrival.came.clear()
    yield window
    assert window.complaints() == []


def ask(name, **more):
    return oauth.begin(oauth.CLIENTS[name], **more)


def arrived(page):
    page.until(lambda: page.title == "Arrived")
    return parameters(page.url)


def consent(page, name="shop", person=OMAR, **more):
    """The consent page of a person who has not agreed to this before."""
    url, asked, verifier = ask(name, **{"prompt": "consent", **more})
    page.open(url)
    page.sign_in(*person)
    assert page.title == "Allow access", page.text
    return asked, verifier


def checked(page, what):
    """What holds for every page, of whatever size."""
    assert page.overflow() <= 0, f"{what}: wider than the window"
    assert page.script("return document.documentElement.lang") == "en"
    assert page.title
    assert page.script("return document.querySelectorAll('h1').length") == 1
    for role, name, _ in page.accessible():
        assert name.strip() or role == "alert", f"{what}: a {role} has no name"
    for kind, text, ratio in page.contrasts():
        # WCAG 2.2 §1.4.3 and §1.4.11, level AA.
        assert ratio >= (4.5 if kind == "text" else 3), f"{what}: {text!r} has a contrast of {ratio:.2f}"
    assert page.script("return [...document.querySelectorAll('[style], style, script:not([src])')].length") == 0
    small = page.script(
        "return [...document.querySelectorAll('button, input:not([type=hidden])')].filter(e => e.getBoundingClientRect().height < 44)"
        ".map(e => e.outerHTML)")
    assert small == [], f"{what}: too small to touch"


SIZES = {"desk": (chromium.DESK, False), "dark": (chromium.DESK, True), "phone": (chromium.PHONE, False), "phone-dark": (chromium.PHONE, True)}
# 1280 pixels at 400 % (WCAG 2.2 §1.4.10).
ZOOMED = (320, 256)


def looks(page, name):
    for look, (size, dark) in SIZES.items():
        page.look(size, dark)
        checked(page, f"{name} {look}")
        page.shoot(f"{name}-{look}")
    page.look(ZOOMED, scale=4)
    checked(page, f"{name} at 400 %")
    page.look()


def test_a_person_signs_in_agrees_and_comes_back_to_another_origin(page):
    client = oauth.CLIENTS["shop"]
    asked, verifier = consent(page, person=NORA)
    page.click("button[value=allow]")
    back = arrived(page)
    assert back["state"] == asked["state"]
    tokens = oauth.redeem(client, back["code"], verifier)
    assert tokens.status_code == 200, tokens.text
    # Remembered: neither asked to sign in nor to agree.
    page.open(ask("shop")[0])
    assert "code" in arrived(page)


def test_a_callback_may_lead_on_to_the_origin_of_client_uri(page, party):
    consent(page, redirect_uri=f"{oauth.PARTY}/onward")
    page.click("button[value=allow]")
    page.until(lambda: page.url == oauth.ONWARD + "/home")
    assert party.arrival.came == ["/home"]


def test_a_wrong_password_says_so_keeps_the_name_and_waits_in_the_password(page):
    page.open(ask("shop")[0])
    assert page.focus() == "username"
    assert page.find("#username").get_attribute("autocomplete") == "username"
    assert page.find("#password").get_attribute("autocomplete") == "current-password"
    looks(page, "sign-in")
    page.sign_in("nora", "not-the-password")
    assert page.find("#username").get_attribute("value") == "nora"
    assert page.find("#password").get_attribute("value") == ""
    assert page.focus() == "password"
    told = "The user name or the password is wrong."
    accessible = page.accessible()
    assert any(role == "alert" for role, _, _ in accessible)
    assert page.find("[role=alert]").text == told
    assert [(name, description) for role, name, description in accessible if role == "textbox"] == [
        ("User name or e-mail", told), ("Password", told)]
    looks(page, "wrong-password")
    page.find("#password").send_keys(NORA[1])
    page.leave(lambda: page.press(Keys.ENTER))
    page.until(lambda: page.title in ("Allow access", "Arrived"))


def test_by_keyboard_alone(page):
    page.open(ask("shop", prompt="consent")[0])
    page.press("omar", Keys.TAB)
    assert page.focus() == "password"
    page.press(Keys.TAB)
    assert page.focus() == "submit"
    page.press(Keys.TAB)
    assert page.focus() == "1"  # Cancel
    outline = page.script("return getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    page.shoot("focus")
    page.back_tab()
    page.back_tab()
    assert page.focus() == "password"
    page.press(OMAR[1])
    page.leave(lambda: page.press(Keys.ENTER))
    assert page.title == "Allow access"
    order = []
    for _ in range(4):
        page.press(Keys.TAB)
        order.append(page.focus())
    assert order == ["https://shop.example.com/privacy", "https://shop.example.com/terms", "allow", "deny"]
    page.back_tab()
    page.leave(lambda: page.press(Keys.ENTER))
    assert "code" in arrived(page)


def test_the_consent_page_says_who_asks_for_what(page):
    details = [{
        "type": "payment_initiation", "instructedAmount": {"currency": "EUR", "amount": "123.50"}, "creditorName": "Merchant <A>",
        "actions": ["initiate", "status"], "recurring": False,
    }]
    consent(
        page, scope="openid profile email offline_access shop:orders shop:pay shop:plain orders:read",
        authorization_details=oauth.json.dumps(details), claims='{"userinfo":{"email":null}}')
    text = page.text
    for words in [
        "The Book Shop asks to use your account omar.", "It could:", "See your e-mail address", "Keep this access when you have signed out",
        "The Book Shop's orders", "See what you have ordered", "Pay in your name, up to 50 € a day", "shop:plain", "orders:read",
        "Payment initiation", "Instructed amount", "Currency: EUR, Amount: 123.50", "Creditor name", "Merchant <A>", "initiate, status", "program on this device",
    ]:
        assert words in text, f"{words!r} is not in {text}"
    assert "shop:orders" not in text
    links = {link.text: link.get_attribute("href") for link in page.all("main a")}
    assert links == {"Privacy policy": "https://shop.example.com/privacy", "Terms": "https://shop.example.com/terms"}
    looks(page, "consent")
    page.click("button[value=deny]")
    assert arrived(page)["error"] == "access_denied"


def test_the_host_that_people_go_to_is_named(page):
    consent(page, "hosted")
    assert "books.example.com" in page.find("main .fine").text
    page.shoot("consent-host")


@pytest.mark.parametrize("name", ["long", "rtl"])
def test_names_of_any_length_and_direction_stay_in_their_place(page, name):
    page.open(ask(name)[0])
    looks(page, f"sign-in-{name}")
    page.sign_in(*LONG)
    assert page.title == "Allow access"
    assert "asks to use your account" in page.text
    looks(page, f"consent-{name}")


def test_a_long_list_of_scopes(page):
    consent(page, scope="openid " + " ".join(oauth.SHOWN), person=LONG)
    assert len(page.all(".asked li")) == len(oauth.SHOWN) + 1
    looks(page, "consent-many")


def test_choosing_an_account_and_signing_out(page):
    for person in [LONG, NORA]:
        page.open(ask("shop", prompt="select_account")[0])
        if page.title == "Choose an account":
            page.click("button[name=other]")
        page.sign_in(*person)
    page.open(ask("shop", prompt="select_account")[0])
    assert page.title == "Choose an account"
    looks(page, "choose-account")
    assert [button.text for button in page.all("button")] == ["nora\nnora@example.com", oauth.LONG_ACCOUNT, "Use another account", "Cancel"]
    page.press(Keys.TAB, Keys.TAB)
    page.leave(lambda: page.press(Keys.ENTER))
    assert page.title in ("Allow access", "Arrived")
    page.open(oauth.AUTH + "/end-session")
    assert page.title == "Sign out"
    looks(page, "sign-out")
    page.click("button[value=stay]")
    assert page.title == "Still signed in"
    looks(page, "stayed")
    page.open(oauth.AUTH + "/end-session")
    page.click("button[value=sign-out]")
    page.until(lambda: page.title in ("Signed out", "Arrived"))
    looks(page, "signed-out")
    page.open(ask("shop")[0])
    assert page.title == "Sign in"


def test_signing_out_tells_the_client_in_a_frame_and_goes_on(page, party):
    client = oauth.CLIENTS["shop"]
    asked, verifier = consent(page, person=NORA)
    page.click("button[value=allow]")
    tokens = oauth.redeem(client, arrived(page)["code"], verifier).json()
    party.came.clear()
    query = urllib.parse.urlencode({"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": f"{oauth.PARTY}/bye", "state": "s"})
    page.open(oauth.AUTH + "/end-session?" + query)
    assert page.title == "Signed out"
    checked(page, "signed out, with frames")
    page.shoot("signed-out-onward")
    page.until(lambda: page.url.startswith(f"{oauth.PARTY}/bye"))
    assert [path.split("?")[0] for path in party.came] == ["/frame", "/bye"]
    assert "state=s" in page.url


def test_without_scripts(page):
    page.cdp("Emulation.setScriptExecutionDisabled", value=True)
    consent(page, "shop", response_mode="form_post")
    page.click("button[value=allow]")
    assert page.title == "Back to The Book Shop"
    looks(page, "form-post")
    page.click("button")
    assert page.title == "Arrived"
    page.cdp("Emulation.setScriptExecutionDisabled", value=False)


def test_with_scripts_the_answer_sends_itself(page, party):
    consent(page, "shop", response_mode="form_post")
    page.find("button[value=allow]").click()
    page.until(lambda: page.title == "Arrived")
    assert any("code=" in came and came.startswith("code=") for came in party.came)


def test_a_device_is_connected(page):
    """RFC 8628 §3.3, §5.4: the code is typed, the person signs in, and is asked with the code before their eyes."""
    device = requests.post(
        oauth.discover()["device_authorization_endpoint"], data={"client_id": "television", "scope": "openid orders:read"}, timeout=10).json()
    page.open(device["verification_uri"])
    looks(page, "device-code")
    page.find("#user_code").send_keys("WRNG-CDFG")
    page.click("button[type=submit]")
    assert page.find("[role=alert]").text
    looks(page, "device-wrong")
    page.open(device["verification_uri_complete"])
    # What the address says stands in the field and does nothing by itself (§3.3.1).
    assert page.find("#user_code").get_attribute("value") == device["user_code"]
    page.click("button[type=submit]")
    page.sign_in(*NORA)
    assert page.title == "Allow this device"
    assert device["user_code"] in page.text and "The Television" in page.text and "orders:read" in page.text
    looks(page, "device-question")

    def poll():
        return requests.post(
            oauth.discover()["token_endpoint"], timeout=10, data={
                "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": "television",
                "device_code": device["device_code"]})

    assert poll().json()["error"] == "authorization_pending"
    page.click("button[value=allow]")
    assert page.title == "Device connected"
    looks(page, "device-connected")
    time.sleep(device["interval"])
    assert poll().json()["token_type"] == "Bearer"
    assert poll().json()["error"] in ("invalid_grant", "slow_down")


def test_errors_are_pages(page):
    url, _, _ = ask("shop")
    page.open(url.replace("client_id=shop", "client_id=nobody"))
    assert page.title == "This did not work"
    looks(page, "error")
    # The address of a form, opened by itself.
    page.open(oauth.AUTH + "/sign-in")
    assert page.title == "This did not work"
    assert "Go back to the application" in page.text
    # A form whose seal is broken.
    page.open(url)
    page.script("document.querySelector('[name=interaction]').value = 'AAAA'")
    page.sign_in(*NORA)
    assert page.title == "This did not work"
    assert "Begin again" in page.text


def test_going_back_after_signing_in_sends_nothing_twice(page, party):
    page.open("about:blank")
    consent(page)
    page.leave(page.driver.back)
    # The first page, asked for anew: signed in already, and no form was sent again.
    assert page.title == "Allow access", page.text
    page.click("button[value=allow]")
    assert "code" in arrived(page)
    # As it was left, or asked for anew: the browser may keep pages for going back.
    page.driver.back()
    page.until(lambda: page.title == "Allow access")
    assert len([path for path in party.came if "code=" in path]) == 1


def test_two_tabs_with_two_ways_at_once(page):
    first, second = ask("shop", prompt="consent"), ask("long", prompt="consent")
    page.open(first[0])
    one = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open(second[0])
    page.sign_in(*NORA)
    assert page.title == "Allow access"
    two = page.driver.current_window_handle
    page.driver.switch_to.window(one)
    page.sign_in(*OMAR)
    assert "omar" in page.text
    page.driver.switch_to.window(two)
    page.click("button[value=allow]")
    assert arrived(page)["state"] == second[1]["state"]
    page.driver.switch_to.window(one)
    page.click("button[value=allow]")
    assert arrived(page)["state"] == first[1]["state"]


def test_what_was_taken_back_is_asked_for_again(page):
    client = oauth.CLIENTS["shop"]
    person = Person(*NORA)
    url, _, verifier = ask("shop", prompt="consent", scope="openid shop:orders")
    tokens = oauth.redeem(client, parameters(person.authorize(url))["code"], verifier).json()
    own = requests.post(
        oauth.AUTH + "/login", json={"username": NORA[0], "password": NORA[1], "scope": "gatehouse:account"}, timeout=10).json()
    headers = {"authorization": "Bearer " + own["access_token"]}
    listed = requests.get(oauth.AUTH + "/consents", headers=headers, timeout=10).json()["consents"]
    shop = next(one for one in listed if one["client_id"] == "shop")
    assert shop["client_name"] == "The Book Shop"
    assert "shop:orders" in shop["scope"].split()
    assert abs(shop["granted_at"] - time.time()) < 120
    assert requests.delete(oauth.AUTH + "/consents/shop", headers=headers, timeout=10).status_code == 204
    assert requests.delete(oauth.AUTH + "/consents/shop", headers=headers, timeout=10).status_code == 404
    bearer = {"authorization": "Bearer " + tokens["access_token"]}
    assert requests.get(oauth.AUTH + "/userinfo", headers=bearer, timeout=10).status_code == 401
    page.open(ask("shop", scope="openid shop:orders")[0])
    page.sign_in(*NORA)
    assert page.title == "Allow access"
