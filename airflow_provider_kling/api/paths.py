"""The base URL of the API, and the limits of its paged lists. The path of a product is in its `Product`."""

DEFAULT_BASE_URL = "https://api-singapore.klingai.com"
COSTS_PATH = "/account/costs"
MAX_PAGE_NUM = 1000
MAX_PAGE_SIZE = 500
DEFAULT_PAGE_SIZE = 30

UNIT_CHARGES_PATH = "/account/billing/package"  # what tasks took from resource packs
MONEY_CHARGES_PATH = "/account/billing/balance"  # what tasks took from the account's money
MAX_CHARGES = 500  # entries of one page
COSTS_INTERVAL = 1.0  # least seconds between two calls of COSTS_PATH (vendor: "QPS<=1")
BALANCE_DELAY = 12 * 3600.0  # seconds by which the remaining units of a pack are late, at most
