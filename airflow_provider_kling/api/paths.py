"""Where the API is, and how large its pages may be."""

DEFAULT_BASE_URL = "https://api-singapore.klingai.com"
EFFECTS_PATH = "/v1/videos/effects"
COSTS_PATH = "/account/costs"
MAX_PAGE_NUM = 1000
MAX_PAGE_SIZE = 500
DEFAULT_PAGE_SIZE = 30
