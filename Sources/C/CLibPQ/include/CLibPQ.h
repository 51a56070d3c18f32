// The part of libpq that we use (PostgreSQL, chapter "libpq — C Library"), loaded when the first connection is opened: whoever stores in
// SQLite neither needs the library nor pays for the dozen that it brings along.
#pragma once

typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;
typedef unsigned int Oid;

// One parameter of a connection, as libpq has it.
typedef struct {
    char *keyword, *envvar, *compiled, *val, *label, *dispchar;
    int dispsize;
} PQconninfoOption;

enum { CONNECTION_OK = 0 };
enum { PGRES_EMPTY_QUERY = 0, PGRES_COMMAND_OK = 1, PGRES_TUPLES_OK = 2, PGRES_PIPELINE_SYNC = 10, PGRES_PIPELINE_ABORTED = 11 };

// Loads libpq. Nothing when it is there, else why not. May be called often, from any thread.
const char *pq_load(void);

// Each is the function of libpq with `PQ` before its name; none may be called before pq_load has answered nothing.
#define PQ_FUNCTIONS(F) \
    F(PQconninfoOption *, conninfoParse, (const char *text, char **problem), (text, problem)) \
    F(void, conninfoFree, (PQconninfoOption *options), (options)) \
    F(PGconn *, connectdbParams, (const char *const *keywords, const char *const *values, int expand), (keywords, values, expand)) \
    F(int, status, (const PGconn *connection), (connection)) \
    F(char *, errorMessage, (const PGconn *connection), (connection)) \
    F(void, finish, (PGconn *connection), (connection)) \
    F(void *, setNoticeProcessor, (PGconn *connection, void (*processor)(void *, const char *), void *argument), \
      (connection, processor, argument)) \
    F(int, setnonblocking, (PGconn *connection, int isWanted), (connection, isWanted)) \
    F(int, flush, (PGconn *connection), (connection)) \
    F(int, sendQuery, (PGconn *connection, const char *text), (connection, text)) \
    F(int, sendQueryParams, (PGconn *connection, const char *text, int count, const Oid *types, const char *const *values, \
      const int *lengths, const int *formats, int format), (connection, text, count, types, values, lengths, formats, format)) \
    F(int, sendPrepare, (PGconn *connection, const char *name, const char *text, int count, const Oid *types), \
      (connection, name, text, count, types)) \
    F(int, sendQueryPrepared, (PGconn *connection, const char *name, int count, const char *const *values, const int *lengths, \
      const int *formats, int format), (connection, name, count, values, lengths, formats, format)) \
    F(int, enterPipelineMode, (PGconn *connection), (connection)) \
    F(int, exitPipelineMode, (PGconn *connection), (connection)) \
    F(int, pipelineSync, (PGconn *connection), (connection)) \
    F(int, isBusy, (PGconn *connection), (connection)) \
    F(int, socket, (const PGconn *connection), (connection)) \
    F(int, consumeInput, (PGconn *connection), (connection)) \
    F(PGresult *, getResult, (PGconn *connection), (connection)) \
    F(void, clear, (PGresult *result), (result)) \
    F(int, resultStatus, (const PGresult *result), (result)) \
    F(char *, resultErrorField, (const PGresult *result, int field), (result, field)) \
    F(char *, cmdStatus, (PGresult *result), (result)) \
    F(char *, cmdTuples, (PGresult *result), (result)) \
    F(int, ntuples, (const PGresult *result), (result)) \
    F(int, nfields, (const PGresult *result), (result)) \
    F(Oid, ftype, (const PGresult *result, int column), (result, column)) \
    F(int, getisnull, (const PGresult *result, int row, int column), (result, row, column)) \
    F(char *, getvalue, (const PGresult *result, int row, int column), (result, row, column)) \
    F(int, getlength, (const PGresult *result, int row, int column), (result, row, column)) \
    F(void *, notifies, (PGconn *connection), (connection)) \
    F(void, freemem, (void *pointer), (pointer))

#define PQ_DECLARE(Return, name, parameters, arguments) Return pq_##name parameters;
PQ_FUNCTIONS(PQ_DECLARE)
#undef PQ_DECLARE
