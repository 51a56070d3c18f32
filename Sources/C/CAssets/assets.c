// Files compiled into the binary with C23's #embed: no bundle to find at run time, no code generation.
#include "CAssets.h"
#include <string.h>

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char common_passwords[] = {
#embed "assets/common-passwords.txt"
};

static const unsigned char openapi[] = {
#embed "assets/openapi.json"
};

static const unsigned char style[] = {
#embed "assets/pages/gatehouse.css"
};

static const unsigned char form_post[] = {
#embed "assets/pages/form-post.js"
};

static const unsigned char icon[] = {
#embed "assets/pages/gatehouse.svg"
};

static const struct {
    const char *name;
    const unsigned char *bytes;
    size_t length;
} assets[] = {
    {"openapi.json", openapi, sizeof openapi},
    {"gatehouse.css", style, sizeof style},
    {"gatehouse.svg", icon, sizeof icon},
    {"form-post.js", form_post, sizeof form_post},
    {"common-passwords.txt", common_passwords, sizeof common_passwords},
};

const unsigned char *gatehouse_asset(const char *name, size_t *length) {
    for (size_t index = 0; index < sizeof assets / sizeof assets[0]; index++) {
        if (strcmp(assets[index].name, name) == 0) {
            *length = assets[index].length;
            return assets[index].bytes;
        }
    }
    return NULL;
}
