#ifndef CASSETS_H
#define CASSETS_H
#include <stddef.h>
/// A file compiled into the binary.
///
/// - Parameter name: Its path under `assets/`.
/// - Parameter length: Set to the count of its bytes.
/// - Returns: Its bytes, which live as long as the process; NULL when there is no such file.
const unsigned char *gatehouse_asset(const char *name, size_t *length);
#endif
