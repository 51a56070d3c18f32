package import AuthCore

/// The keys of `gatehouse serve`: names and defaults of the contract, and what an operator may want besides.
package enum ServerKeys {
    package static let issuer = SettingKey(
        "issuer", .url, default: "http://localhost:8080",
        "The origin that clients and services know this server by, and the `iss` of every token. It is compared byte by byte: scheme, "
            + "host and port in lower case, without a trailing slash. `http` only for loopback hosts."
    )

    package static let mutualTLSOrigin = SettingKey(
        "mtls_url", .url, default: nil,
        "The origin that `listen.auth_mtls`, or a proxy that asks for certificates, is reached at: `https://HOST` or `https://HOST:PORT`, "
            + "another one than `issuer`. Metadata names the endpoints of clients there as `mtls_endpoint_aliases` (RFC 8705 §5)."
    )

    package static let roles = SettingKey(
        "roles", .list(.choice(["auth", "gateway"])), default: "auth,gateway",
        "What this process does: `auth` is everything but the proxied routes, `gateway` the proxied routes. With `gateway` alone it opens no "
            + "database and holds no key that signs: what it needs it is told by the nodes of `control_plane`."
    )

    package static let controlPlane: [SettingKey] = [
        SettingKey(
            "control_plane.urls", .list(.url), default: "",
            "For `roles: [gateway]`: the auth listeners to learn keys, routes and revocations from, `https://HOST:PORT`; `http` only on "
                + "loopback. The first that answers is followed, the others stand by."
        ),
        SettingKey(
            "control_plane.client_id", .text, default: nil,
            "The client that this gateway is to them; it needs the scopes `gatehouse:revocations` and `gatehouse:gateway`."
        ),
        SettingKey("control_plane.client_secret", .secret, default: nil, "Its secret."),
        SettingKey(
            "control_plane.ca", .path, default: nil, "Authorities in PEM that their certificates are checked by. Without it the system's."),
    ]

    package static let listeners: [SettingKey] =
        [
            SettingKey(
                "listen.auth", .listener, default: "127.0.0.1:8080",
                "Sign-in and its pages, tokens, OpenID Connect, `/validate`, `/forward-auth`."
            )
        ]
        + tls("auth") + [
            SettingKey(
                "listen.auth_mtls", .listener, default: nil,
                "The same for programs that show a certificate, without the pages: so that `listen.auth`, where browsers come, asks nobody for "
                    + "one. Needs `mtls_url`, and TLS that takes certificates of clients. Without a value there is none."
            )
        ]
        + tls("auth_mtls") + [
            SettingKey(
                "listen.gateway", .listener, default: "127.0.0.1:8000",
                "The proxied routes. Paths under `/.gatehouse/` are reserved for the gateway itself."
            )
        ]
        + tls("gateway") + [
            SettingKey("listen.admin", .listener, default: "127.0.0.1:9090", "Health, metrics and the admin API.")
        ]
        + tls("admin") + [
            SettingKey(
                "listen.control", .listener, default: "unix:data/gatehouse.sock",
                "The socket of the operator's commands, mode 0600. It asks for no credential, so it must be `unix:`."
            )
        ]

    private static func tls(_ name: String) -> [SettingKey] {
        [
            SettingKey("listen.\(name).tls.certificate", .path, default: nil, "Certificate chain in PEM. With `key` it turns TLS on."),
            SettingKey("listen.\(name).tls.key", .path, default: nil, "Private key in PEM."),
            SettingKey(
                "listen.\(name).tls.client_ca", .path, default: nil,
                "Certificates in PEM that those of clients chain to (mutual TLS, RFC 8705). A client need not show one; what needs one asks."
            ),
            SettingKey(
                "listen.\(name).tls.client_certificates", .choice(["none", "verified", "any"]), default: nil,
                "Which certificates of clients are taken. `verified`: those that chain to `client_ca`, others fail the handshake. `any`: "
                    + "others pass as unverified, which clients that registered a certificate of their own need (RFC 8705 §2.2). "
                    + "`none`: none is asked for. Without a value: `verified` with `client_ca`, else `none`."
            ),
        ]
    }

    package static let storage = SettingKey(
        "storage", .secret, default: "sqlite:data/gatehouse.db",
        "`sqlite:PATH`, or `postgres://user@host1,host2/db?…` when one machine is not enough. Also `file:PATH` or `env:NAME`, which a URL "
            + "with a password should use."
    )

    package static let postgres: [SettingKey] = [
        SettingKey(
            "storage_listen", .secret, default: nil,
            "For PostgreSQL behind a pooler (`pooled=1` in `storage`): a `postgres://…` that reaches the server directly, to hear of changes of "
                + "other nodes at once. Without it they are looked for ten times a second."
        ),
        SettingKey(
            "storage_connections", .integer(1...256), default: "16",
            "Connections of this node to PostgreSQL, and so its transactions at a time."
        ),
    ]

    package static let masterKeys = SettingKey(
        "master_keys", .list(.secret), default: "file:data/master.key",
        "Keys of 32 bytes in base64url: the first encrypts, all decrypt. For SQLite, a single `file:` that does not exist is made on first "
            + "start (mode 0600). For PostgreSQL they must be given."
    )

    package static let apply = SettingKey("apply", .list(.path), default: "", "Files of resources to apply at start, see below.")

    package static let lifetimes: [SettingKey] = [
        SettingKey(
            "tokens.access_ttl", .duration(.seconds(1)...days(1)), default: "10m",
            "How long an access token lives. Not above `tokens.refresh_ttl`."
        ),
        SettingKey("tokens.refresh_ttl", .duration(.seconds(1)...days(730)), default: "30d", "How long a grant can be refreshed."),
        SettingKey(
            "tokens.refresh_reuse_window", .duration(.zero...minutes(5)), default: "10s",
            "How long a refresh token that was just used gets the same answer again (a lost answer, two tabs). Not above "
                + "`tokens.refresh_retry_max`."
        ),
        SettingKey(
            "tokens.refresh_retry_max", .duration(.zero...days(1)), default: "10m",
            "How long a client may retry with the token before, while its successor has not been used. Later use revokes the grant."
        ),
        SettingKey("keys.rotate_every", .duration(minutes(1)...days(730)), default: "90d", "How often the signing key changes."),
        SettingKey(
            "keys.jwks_max_age", .duration(.seconds(1)...days(1)), default: "5m",
            "How long services may keep the published keys. Below `keys.rotate_every`."
        ),
        SettingKey(
            "revocations.max_staleness", .duration(.seconds(1)...minutes(60)), default: "30s",
            "How old a replica of the revocations may be before `revocations.when_stale` holds."
        ),
        SettingKey(
            "revocations.when_stale", .choice(["refuse", "ask", "serve"]), default: "refuse",
            "What a decision point does then: refuse the request, ask the authority first, or serve from what it knows. A route can differ."
        ),
    ]

    package static let server: [SettingKey] = [
        SettingKey(
            "validate.require_client", .flag, default: nil,
            "Whether `/validate` asks its callers for client credentials. Without a value: yes, unless `listen.auth` is loopback."
        ),
        SettingKey(
            "trusted_proxies", .list(.text), default: "",
            "Addresses and ranges (CIDR) whose `X-Forwarded-*` are believed. None by default."
        ),
        SettingKey(
            "client_cert_header", .choice(["none", "verified", "any"]), default: "none",
            "What `Client-Cert` (RFC 9440) from `trusted_proxies` is worth, which must delete it from what comes in. `verified`: they pass on "
                + "only certificates whose chain they have verified. `any`: they pass on others too, so none counts as verified. "
                + "`none`: the field is not read."
        ),
        SettingKey("audit.keep", .duration(days(1)...days(3_650)), default: "90d", "How long audit events are kept."),
        SettingKey("log.format", .choice(["auto", "human", "json"]), default: "auto", "`auto` is `human` on a terminal, else `json`."),
        SettingKey("log.level", .choice(["debug", "info", "warning", "error"]), default: "info", "The least level that is written."),
        SettingKey(
            "shutdown.drain", .duration(.zero...minutes(10)), default: "20s", "How long requests in flight may take to end after SIGTERM."
        ),
    ]

    package static let passwords: [SettingKey] = [
        SettingKey(
            "passwords.memory_kib", .integer(7_168...1_048_576), default: "19456",
            "Memory of one Argon2id hash, in KiB (RFC 9106 §3.1, `m`)."
        ),
        SettingKey("passwords.iterations", .integer(1...32), default: "2", "Passes of Argon2id over that memory (`t`)."),
        SettingKey("passwords.parallelism", .integer(1...16), default: "1", "Lanes of Argon2id (`p`)."),
        SettingKey("passwords.threads", .integer(1...256), default: nil, "Hashes at a time. Without a value: one for each processor core."),
        SettingKey(
            "passwords.queue", .integer(1...10_000), default: "64",
            "Sign-ins that may wait for a hash; past it they get 503 with `Retry-After`."
        ),
        SettingKey(
            "passwords.length_min", .integer(8...64), default: "15",
            "The shortest password that is accepted, in characters (NIST SP 800-63B-4 §3.1.1.2: 15 where it is the only factor)."
        ),
        SettingKey(
            "lockout.free_attempts", .integer(1...100), default: "5",
            "Failed sign-ins of an account or a source before the next must wait; as many wrong secrets of a client from one address, and ten "
                + "times as many from one address in all, within an hour."
        ),
        SettingKey(
            "lockout.delay", .duration(.milliseconds(100)...minutes(10)), default: "1s", "The first wait; it doubles with each failure."),
        SettingKey("lockout.delay_max", .duration(.seconds(1)...days(1)), default: "15m", "The longest wait. Not below `lockout.delay`."),
        SettingKey(
            "lockout.failures_max", .integer(5...100), default: "100",
            "Failures in a row after which only sources that the account has used before may try (NIST SP 800-63B-4 §3.2.2: at most 100)."
        ),
    ]

    /// The table, in the order in which it is shown.
    package static let all: [SettingKey] =
        [issuer, mutualTLSOrigin, roles] + controlPlane + listeners + [storage] + postgres + [masterKeys, apply] + lifetimes + server
        + passwords

    private static func days(_ count: Int64) -> Duration { .seconds(count * 86_400) }
    private static func minutes(_ count: Int64) -> Duration { .seconds(count * 60) }
}
