// swift-tools-version:6.2
// The target graph is the import rules: arrows point down only, and
// `--explicit-target-dependency-import-check error` holds them. docs/map.md says what each target owns.

import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
    .define("Faults", .when(traits: ["Faults"])),
]

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")
let asn1 = Target.Dependency.product(name: "SwiftASN1", package: "swift-asn1")
let x509 = Target.Dependency.product(name: "X509", package: "swift-certificates")
let hashTrees = Target.Dependency.product(name: "HashTreeCollections", package: "swift-collections")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let package = Package(
    name: "gatehouse",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "gatehouse", targets: ["gatehouse"]),
        .library(name: "TokenVerification", targets: ["TokenVerification"]),
    ],
    traits: [
        .trait(name: "Faults", description: "The chosen clock and the failpoints of the fault tests. Never in a release."),
        .default(enabledTraits: []),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-asn1.git", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates.git", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
    ],
    targets: [
        .systemLibrary(name: "CArgon2", path: "Sources/C/CArgon2", pkgConfig: "libargon2", providers: [.apt(["libargon2-dev"])]),
        .systemLibrary(name: "CSodium", path: "Sources/C/CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CCrypt", path: "Sources/C/CCrypt", providers: [.apt(["libcrypt-dev"])]),
        .target(name: "CLibPQ", path: "Sources/C/CLibPQ"),
        .target(name: "CCurl", path: "Sources/C/CCurl"),
        .target(name: "CAssets", path: "Sources/C/CAssets", exclude: ["assets"]),

        library("AuthCore", [crypto, asn1]),
        library("TokenVerification", ["AuthCore", crypto, cryptoExtras, hashTrees]),
        library("Store", ["AuthCore"]),
        library("StoreSQL", ["Store", "AuthCore"]),
        library("StoreSQLite", ["StoreSQL", "Store", "AuthCore", grdb, grdbSQLite]),
        library("StorePostgres", ["StoreSQL", "Store", "AuthCore", "CLibPQ"]),
        library("TokenKeys", ["AuthCore", "TokenVerification", "Store", crypto, cryptoExtras]),
        library("Accounts", ["AuthCore", "Store", "CArgon2", "CSodium", "CCrypt", "CAssets", crypto, cryptoExtras]),
        library("OAuthServer", ["AuthCore", "TokenVerification", "Store", "TokenKeys", crypto]),
        library("Outbound", ["AuthCore", "CCurl"]),
        library("Gateway", ["AuthCore", "TokenVerification", "Store"]),
        library("Settings", ["AuthCore", "Store", yams]),
        library("HTTPEdge", ["AuthCore", asn1, x509, nioCore, nioPosix, nioTLS]),
        library("ProxyServer", ["AuthCore", "TokenVerification", "Gateway", "HTTPEdge", nioCore, nioPosix, nioTLS]),
        library("GatehouseClient", ["AuthCore", "TokenVerification", "HTTPEdge", nioCore, nioPosix, nioTLS]),
        library(
            "WebServer",
            [
                "AuthCore", "TokenVerification", "Store", "TokenKeys", "Accounts", "OAuthServer", "HTTPEdge", "CAssets",
            ]
        ),
        .executableTarget(
            name: "gatehouse",
            dependencies: [
                "AuthCore", "TokenVerification", "Store", "StoreSQL", "StoreSQLite", "StorePostgres", "TokenKeys", "Accounts",
                "OAuthServer", "Outbound",
                "Gateway", "Settings", "HTTPEdge", "ProxyServer", "GatehouseClient", "WebServer", crypto, nioCore, nioPosix,
            ],
            swiftSettings: settings
        ),

        // What the tests of several targets share.
        .target(
            name: "TestSupport", dependencies: [nioCore, nioPosix, nioTLS, crypto, asn1, x509], path: "Tests/TestSupport",
            swiftSettings: settings),
        .target(name: "PostgresServer", path: "Tests/PostgresServer", swiftSettings: settings),
        tests("AuthCoreTests", ["AuthCore"]),
        tests("TokenVerificationTests", ["TokenVerification", "AuthCore", crypto, cryptoExtras]),
        // Below the database, for the tests alone: a disk that loses power, fills up and fails.
        .target(name: "CFaultyDisk", path: "Tests/CFaultyDisk", linkerSettings: [.linkedLibrary("sqlite3")]),
        tests(
            "StoreTests",
            ["AuthCore", "Store", "StoreSQL", "StoreSQLite", "StorePostgres", "TestSupport", "PostgresServer", "CFaultyDisk"],
            exclude: ["Schema/v2"]),
        tests("SettingsTests", ["AuthCore", "Store", "Settings"]),
        tests("AccountsTests", ["Accounts", "AuthCore", "Store", "CArgon2"]),
        tests("GatewayTests", ["AuthCore", "TokenVerification", "Store", "Gateway", "TestSupport", crypto]),
        tests("HTTPEdgeTests", ["AuthCore", "HTTPEdge", "TestSupport", crypto, nioCore, nioPosix, nioEmbedded, nioHTTP1, nioTLS]),
        tests(
            "ProxyServerTests",
            ["AuthCore", "Gateway", "HTTPEdge", "ProxyServer", "TestSupport", nioCore, nioPosix, nioEmbedded, nioTLS]),
        tests(
            "GatehouseClientTests",
            ["AuthCore", "GatehouseClient", "HTTPEdge", "TokenVerification", "TestSupport", nioCore, nioPosix, nioTLS]),
        tests("OutboundTests", ["AuthCore", "Outbound", "TestSupport", nioCore, nioPosix, nioTLS]),
        tests("TokenKeysTests", ["AuthCore", "Store", "TokenKeys", "TokenVerification", crypto, cryptoExtras]),
        tests("OAuthServerTests", ["AuthCore", "Store", "TokenKeys", "OAuthServer", crypto]),
        tests(
            "FlowTests",
            [
                "gatehouse", "AuthCore", "Settings", "Store", "StoreSQL", "StoreSQLite", "HTTPEdge", "TokenKeys", "TokenVerification",
                "WebServer", "Accounts", "Gateway", "GatehouseClient", "OAuthServer", "Outbound", "ProxyServer", "StorePostgres",
                "TestSupport",
                "PostgresServer", nioCore, nioPosix, crypto,
            ]),
        tests("ProgramTests", ["AuthCore", "TokenKeys", "TokenVerification", "gatehouse", "TestSupport", "PostgresServer"]),
    ]
)
