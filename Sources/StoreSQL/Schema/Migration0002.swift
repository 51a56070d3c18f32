/// What nodes hold in memory has a number each, in the row that they read anyway: a higher one means to read it anew. A program that does
/// not raise them would leave the other nodes with what is old.
let storeVersions = Migration(number: 2, name: "versions of what nodes hold", usableFrom: 2) { _ in
    [
        "ALTER TABLE feed ADD COLUMN resources_version BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE feed ADD COLUMN keys_version BIGINT NOT NULL DEFAULT 0",
    ]
}
