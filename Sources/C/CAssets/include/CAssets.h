#ifndef CASSETS_H
#define CASSETS_H
#include <stddef.h>
/// A file compiled into the binary: `name` is its path under `assets/`.
typedef struct {
    const char *name;
    const unsigned char *bytes;
    size_t length;
} gatehouse_asset;
extern const gatehouse_asset gatehouse_assets[];
extern const size_t gatehouse_assets_count;
#endif
