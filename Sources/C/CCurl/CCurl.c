#define _GNU_SOURCE
#include "CCurl.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0
#endif

// The library that OpenSSL serves first; Debian's other one speaks the same interface.
static const char *const libraries[] = {
#ifdef __APPLE__
    "libcurl.4.dylib",
#else
    "libcurl.so.4",
    "libcurl-gnutls.so.4",
#endif
};

static CURLcode (*global_init)(long);
static CURL *(*easy_init)(void);
static CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
static CURLcode (*easy_perform)(CURL *);
static CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
static void (*easy_cleanup)(CURL *);
static struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
static void (*slist_free_all)(struct curl_slist *);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *problem;

static void load(void) {
    void *library = NULL;
    for (size_t i = 0; library == NULL && i < sizeof libraries / sizeof *libraries; i++) {
        // Its names stay its own: other libraries of this process have some of the same.
        library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (library == NULL) {
        problem = "libcurl cannot be loaded; Debian's package is libcurl4";
        return;
    }
#define FIND(name) \
    *(void **)&name = dlsym(library, "curl_" #name); \
    if (name == NULL) { \
        problem = "libcurl has no curl_" #name; \
        return; \
    }
    FIND(global_init)
    FIND(easy_init)
    FIND(easy_setopt)
    FIND(easy_perform)
    FIND(easy_getinfo)
    FIND(easy_cleanup)
    FIND(slist_append)
    FIND(slist_free_all)
    if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) problem = "libcurl cannot be initialised";
}

const char *cc_load(void) {
    pthread_once(&once, load);
    return problem;
}

typedef struct {
    const cc_request *request;
    cc_answer *answer;
    size_t headers_seen;
    int is_in_head, has_too_many_headers, has_too_much_body;
} transfer;

// Without a copy of what it holds already; the maximum bounds what is asked for.
static int append(uint8_t **bytes, size_t *count, const char *more, size_t more_count, size_t max) {
    if (more_count > max || *count > max - more_count) return 0;
    if (more_count == 0) return 1;
    uint8_t *grown = realloc(*bytes, *count + more_count);
    if (grown == NULL) return 0;
    memcpy(grown + *count, more, more_count);
    *bytes = grown;
    *count += more_count;
    return 1;
}

static size_t on_header(char *line, size_t size, size_t count, void *data) {
    transfer *t = data;
    count *= size;
    if (count > t->request->headers_max - t->headers_seen) {
        t->has_too_many_headers = 1;
        return 0;
    }
    t->headers_seen += count;
    if (count >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        // Another head: what came before was an interim one.
        t->is_in_head = 1;
        t->answer->headers_count = 0;
        return count;
    }
    if (count <= 2 && (line[0] == '\r' || line[0] == '\n')) {
        t->is_in_head = 0;
        return count;
    }
    // What follows the body is no header.
    if (!t->is_in_head) return count;
    return append(&t->answer->headers, &t->answer->headers_count, line, count, t->request->headers_max) ? count : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data) {
    transfer *t = data;
    count *= size;
    if (append(&t->answer->body, &t->answer->body_count, bytes, count, t->request->body_max)) return count;
    t->has_too_much_body = 1;
    return 0;
}

static int on_progress(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)a, (void)b, (void)c, (void)d;
    transfer *t = data;
    return t->request->goes_on(t->request->context) ? 0 : 1;
}

static int as_bytes(const struct sockaddr *address, uint8_t *bytes, uint16_t *port) {
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        memset(bytes, 0, 10);
        bytes[10] = bytes[11] = 0xFF;
        memcpy(bytes + 12, &v4->sin_addr, 4);
        *port = ntohs(v4->sin_port);
        return 1;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        memcpy(bytes, &v6->sin6_addr, 16);
        *port = ntohs(v6->sin6_port);
        return 1;
    }
    return 0;
}

// The one place where a socket is made: libcurl connects it to the very address that was judged here.
static curl_socket_t on_open(void *data, curlsocktype purpose, struct curl_sockaddr *address) {
    transfer *t = data;
    uint8_t bytes[16];
    uint16_t port;
    if (purpose != CURLSOCKTYPE_IPCXN || !as_bytes(&address->addr, bytes, &port)) return CURL_SOCKET_BAD;
    if (!t->request->may_connect(t->request->context, bytes, port)) return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// Whether every option was taken: one that is not is a guard that is not there.
static int set_options(CURL *curl, transfer *t, struct curl_slist *headers) {
    const cc_request *r = t->request;
    int good = 1;
#define SET(option, value) good = good && easy_setopt(curl, option, value) == CURLE_OK
    SET(CURLOPT_URL, r->url);
    SET(CURLOPT_PROTOCOLS_STR, r->protocol);
    SET(CURLOPT_REDIR_PROTOCOLS_STR, r->protocol);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);

    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, (void *)t);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    // Nothing of the environment or of files decides where we connect to, or what we say there.
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_NONE);

    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (r->authorities != NULL) SET(CURLOPT_CAINFO, r->authorities);

    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    // Nothing is asked for in compressed form, and nothing is unpacked.
    SET(CURLOPT_ACCEPT_ENCODING, (char *)NULL);
    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(CURLOPT_USERAGENT, "gatehouse");
    SET(CURLOPT_HTTPHEADER, headers);
    if (r->is_post) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_count);
        SET(CURLOPT_POSTFIELDS, r->body_count == 0 ? "" : (const char *)r->body);
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }

    SET(CURLOPT_CONNECTTIMEOUT_MS, r->connect_milliseconds);
    SET(CURLOPT_TIMEOUT_MS, r->total_milliseconds);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)r->body_max);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, (void *)t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, (void *)t);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, (void *)t);
    SET(CURLOPT_NOPROGRESS, 0L);
#undef SET
#if LIBCURL_VERSION_NUM >= 0x075700
    // A name server that does not answer holds up its own thread of libcurl, not ours; an older library waits for it.
    easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
#endif
    return good;
}

static cc_outcome outcome_of(CURLcode code, const transfer *t) {
    if (t->has_too_many_headers) return CC_HEADERS_TOO_LARGE;
    if (t->has_too_much_body) return CC_BODY_TOO_LARGE;
    switch (code) {
    case CURLE_OK: return CC_ANSWERED;
    case CURLE_COULDNT_RESOLVE_HOST: return CC_NAME_UNKNOWN;
    case CURLE_COULDNT_CONNECT: return CC_NOT_CONNECTED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_INVALIDCERTSTATUS: return CC_NOT_TRUSTED;
    case CURLE_OPERATION_TIMEDOUT: return CC_TIMED_OUT;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE: return CC_LOST;
    case CURLE_FILESIZE_EXCEEDED: return CC_BODY_TOO_LARGE;
    case CURLE_ABORTED_BY_CALLBACK: return CC_STOPPED;
    default: return CC_MALFORMED;
    }
}

void cc_fetch(const cc_request *request, cc_answer *answer) {
    memset(answer, 0, sizeof *answer);
    answer->outcome = CC_UNAVAILABLE;
    if (cc_load() != NULL) return;
    CURL *curl = easy_init();
    if (curl == NULL) return;
    transfer t = {.request = request, .answer = answer};
    struct curl_slist *headers = NULL;
    int good = 1;
    for (size_t i = 0; good && i < request->headers_count; i++) {
        struct curl_slist *longer = slist_append(headers, request->headers[i]);
        if (longer == NULL) good = 0; else headers = longer;
    }
    if (good && set_options(curl, &t, headers)) {
        const CURLcode code = easy_perform(curl);
        answer->curl_code = code;
        answer->outcome = outcome_of(code, &t);
        if (easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status) != CURLE_OK) answer->outcome = CC_MALFORMED;
    }
    easy_cleanup(curl);
    slist_free_all(headers);
}

void cc_release(cc_answer *answer) {
    free(answer->headers);
    free(answer->body);
    answer->headers = answer->body = NULL;
    answer->headers_count = answer->body_count = 0;
}

void cc_block_signals(void) {
    sigset_t all;
    sigfillset(&all);
    // What the processor reports of a fault cannot be put off.
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGTRAP);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

int cc_resolve(const char *name, uint8_t *addresses, int max) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(name, NULL, &hints, &found) != 0) return -1;
    int count = 0;
    for (const struct addrinfo *each = found; each != NULL && count < max; each = each->ai_next) {
        uint16_t port;
        if (as_bytes(each->ai_addr, addresses + 16 * count, &port)) count++;
    }
    freeaddrinfo(found);
    return count;
}
