import AuthCore
import Store
import Testing

@testable import Settings

@Suite("Resources as JSON")
struct ResourceJSONTests {
    func document() throws -> ResourceDocument {
        try ResourceFileTests.world.resources([ResourceFileTests.good]).get().document
    }

    @Test("what is written is read again, each definition and the whole document")
    func roundTrip() throws {
        let document = try document()
        for value in document.users { #expect(ResourceJSON.decodeUser(ResourceJSON.encode(value)) == value) }
        for value in document.clients { #expect(ResourceJSON.decodeClient(ResourceJSON.encode(value)) == value) }
        for value in document.resources { #expect(ResourceJSON.decodeResource(ResourceJSON.encode(value)) == value) }
        for value in document.roles { #expect(ResourceJSON.decodeRole(ResourceJSON.encode(value)) == value) }
        for value in document.routes { #expect(ResourceJSON.decodeRoute(ResourceJSON.encode(value)) == value) }
        let text = ResourceJSON.encode(document).encoded
        #expect(ResourceJSON.decodeDocument(try JSONReader.read(text)) == document)
        #expect(ResourceJSON.decodeDocument(.object(JSONObject())) == ResourceDocument())
    }

    @Test("no initial secret is in it")
    func secrets() throws {
        let text = String(decoding: ResourceJSON.encode(try document()).encoded, as: UTF8.self)
        #expect(
            !text.contains("correct-horse") && !text.contains("0123456789abcdef") && !text.contains("password") && !text.contains("secret"))
    }

    @Test("it has the shapes of the files: a document without secrets is a file")
    func sameShapes() throws {
        var document = try document()
        document.clients.removeAll { !$0.isPublic }
        document.routes.removeAll { $0.name == "reports" }
        let reading = try ResourceFileTests.world.resources([String(decoding: ResourceJSON.encode(document).encoded, as: UTF8.self)]).get()
        #expect(reading.document == document)
    }

    @Test(
        "another shape is not read: what closes a route must not get lost",
        arguments: [
            #"{"name":"a","match":{"path":"/a"},"upstream":["http://a"],"identity":"headers","require":{}}"#,
            #"{"name":"a","match":{"path":"/a"},"upstream":["http://a"],"identity":"headers","require":"open"}"#,
            #"{"name":"a","match":{"path":"/a"},"upstream":["http://a"],"identity":"headers","require":null}"#,
            #"{"name":"a","match":{"path":"/a"},"upstream":["http://a"],"identity":"headers","require":{"scope":[]}}"#,
            #"{"name":"a","match":{"path":"/a"},"upstream":["http://a"],"identity":"headers","require":{"scope":["x"],"mtls":true}}"#,
            #"{"name":"a","match":{"path":"/a","query":"x"},"upstream":["http://a"],"identity":"headers"}"#,
            #"{"name":"a","match":{"path":"/a"},"upstream":["http://a"],"identity":"cookie"}"#,
            #"{"name":"a","match":{"path":"/a"},"upstream":["http://a"],"identity":"headers","when_stale":"never"}"#,
            #"{"name":"a","match":{"path":"/a"},"upstream":"http://a","identity":"headers"}"#,
            #"{"name":"a","match":{"path":"/a"},"upstream":["http://a"]}"#, #"{"match":{"path":"/a"},"upstream":[],"identity":"headers"}"#,
            "[]", "null", #""a""#,
        ]
    )
    func strict(text: String) throws {
        let value = try JSONReader.read(text)
        #expect(ResourceJSON.decodeRoute(value) == nil)
        #expect(
            ResourceJSON.decodeClient(value) == nil && ResourceJSON.decodeUser(value) == nil && ResourceJSON.decodeResource(value) == nil)
    }

    @Test("a client with an unknown grant or member is not read")
    func strictClient() throws {
        #expect(ResourceJSON.decodeClient(try JSONReader.read(#"{"id":"a","grants":["password"]}"#)) == nil)
        #expect(ResourceJSON.decodeClient(try JSONReader.read(#"{"id":"a","grants":[],"dpop":true}"#)) == nil)
        #expect(ResourceJSON.decodeClient(try JSONReader.read(#"{"id":"a","public":"true"}"#)) == nil)
        #expect(ResourceJSON.decodeClient(try JSONReader.read(#"{"id":"a"}"#))?.id == "a")
    }
}

@Suite("The difference between stored and wanted resources")
struct ResourceDifferenceTests {
    func document(_ text: String) throws -> ResourceDocument { try ResourceFileTests.world.resources([text]).get().document }

    static let before = """
        users: [{username: alice, roles: [customer]}]
        clients: [{id: billing, secret: env:BILLING, grants: [client_credentials], scopes: ['orders:read']}, {id: old, public: true, grants: [login]}]
        resources: [{id: orders, scopes: ['orders:read', 'orders:write']}]
        roles: {customer: ['orders:read']}
        routes:
          - {name: orders, match: {path: /orders}, upstream: 'http://a:1', require: {scope: 'orders:read'}}
          - {name: open, match: {path: /open}, upstream: 'http://a:1'}
          - {name: gone, match: {path: /gone}, upstream: 'http://a:1', require: none}
        """
    static let after = """
        routes:
          - {name: open, match: {path: /open}, upstream: 'http://a:1', require: none}
          - {name: orders, match: {path: /orders, methods: [GET]}, upstream: ['http://b:1', 'http://a:1'], require: {scope: 'orders:write', max_age: 5m}}
        users: [{username: bob, password: env:ALICE}, {username: alice, email: a@example.com, roles: [customer]}]
        clients: [{id: billing, secret: env:ALICE, grants: [client_credentials], scopes: ['orders:read']}, {id: web, public: true, grants: [login]}]
        resources: [{id: orders, scopes: ['orders:write', 'orders:read']}]
        roles: {customer: ['orders:read', 'orders:write']}
        """
    static let rendered = """
        ~ role customer: scopes orders:read → orders:read, orders:write
        ~ user alice: email (none) → a@example.com
        + user bob
        + client web
        ~ route open: require (none) → none
        ~ route orders: methods (none) → GET; upstream http://a:1 → http://a:1, http://b:1; scope orders:read → orders:write; max_age (none) → 5m

        """

    @Test("each difference is one line, in a stable order; secrets and the order of lists are none")
    func rendering() throws {
        let (before, after) = (try document(Self.before), try document(Self.after))
        let changes = ResourceDifference.between(stored: before, wanted: after, prune: false)
        #expect(ResourceDifference.render(changes) == Self.rendered + "- route gone (disabled)\n- client old (disabled)\n")
        let pruned = ResourceDifference.between(stored: before, wanted: after, prune: true)
        #expect(ResourceDifference.render(pruned) == Self.rendered + "- route gone (deleted)\n- client old (deleted)\n")
        #expect(!ResourceDifference.render(changes).contains("correct-horse"))
    }

    @Test("equal documents do not differ, whatever the order")
    func equal() throws {
        let before = try document(Self.before)
        var shuffled = before
        shuffled.routes.reverse()
        shuffled.clients.reverse()
        #expect(ResourceDifference.between(stored: before, wanted: shuffled, prune: true).isEmpty)
        #expect(ResourceDifference.between(stored: ResourceDocument(), wanted: ResourceDocument(), prune: true).isEmpty)
    }

    @Test("what is disabled is enabled when it is wanted again, and stays as it is when it is not")
    func disabled() throws {
        let before = try document(Self.before)
        let disabled: Set<ResourceName> = [ResourceName(.client, "old"), ResourceName(.route, "gone")]
        let same = ResourceDifference.between(stored: before, wanted: before, prune: false, disabled: disabled)
        #expect(ResourceDifference.render(same) == "+ client old (enabled again)\n+ route gone (enabled again)\n")
        var wanted = before
        wanted.clients.removeAll { $0.id == "old" }
        wanted.routes.removeAll { $0.name == "gone" }
        #expect(ResourceDifference.between(stored: before, wanted: wanted, prune: false, disabled: disabled).isEmpty)
        #expect(
            ResourceDifference.between(stored: before, wanted: wanted, prune: true, disabled: disabled).map(\.kind) == [.delete, .delete])
    }

    @Test("names that are canonical twins are two things")
    func twins() {
        var (stored, wanted) = (ResourceDocument(), ResourceDocument())
        stored.users = [UserDefinition(username: "caf\u{E9}")]
        wanted.users = [UserDefinition(username: "cafe\u{301}")]
        #expect(ResourceDifference.between(stored: stored, wanted: wanted, prune: true).map(\.kind) == [.create, .delete])
    }
}
