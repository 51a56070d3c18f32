// One HTTP request by libcurl, with everything turned off that we did not ask for. libcurl is loaded when the first is made: whoever
// asks no other server neither needs the library nor pays for the two dozen that it brings along.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct {
    // Both end with a NUL. The protocol is "https" or "http"; no other is spoken.
    const char *url, *protocol;
    // NULL: the system's authorities alone; else a file of further ones in PEM.
    const char *authorities;
    // "Name: value", each with its NUL.
    const char *const *headers;
    size_t headers_count;
    int is_post;
    const uint8_t *body;
    size_t body_count;
    long connect_milliseconds, total_milliseconds;
    // Of the answer. Headers: all heads and trailers together.
    size_t headers_max, body_max;
    // Given to both functions, which are called on the thread of cc_fetch.
    void *context;
    // Before a socket is opened: whether it may be. IPv4 comes as ::ffff:a.b.c.d.
    int (*may_connect)(void *context, const uint8_t *address, uint16_t port);
    // Several times a second: whether to go on.
    int (*goes_on)(void *context);
} cc_request;

typedef enum {
    CC_ANSWERED = 0,
    CC_UNAVAILABLE,
    CC_NAME_UNKNOWN,
    CC_NOT_CONNECTED,
    CC_NOT_TRUSTED,
    CC_TIMED_OUT,
    CC_LOST,
    CC_MALFORMED,
    CC_HEADERS_TOO_LARGE,
    CC_BODY_TOO_LARGE,
    CC_STOPPED,
} cc_outcome;

typedef struct {
    cc_outcome outcome;
    // What libcurl calls it, for tests.
    int curl_code;
    long status;
    // The lines of the last head, without the status line, each with its line break; and the body.
    uint8_t *headers, *body;
    size_t headers_count, body_count;
} cc_answer;

// NULL, or why the library cannot be used. Any thread.
const char *cc_load(void);

// Blocks until the answer is there or will not come. `answer` is to be released whatever the outcome.
void cc_fetch(const cc_request *request, cc_answer *answer);
void cc_release(cc_answer *answer);

// The calling thread takes no signal from now on: those of the process are for its main thread, and a peer that goes away must not end it.
void cc_block_signals(void);

// The addresses that a name has now, 16 bytes each, at most `max` of them; less than 0 when it has none. Blocks.
int cc_resolve(const char *name, uint8_t *addresses, int max);
