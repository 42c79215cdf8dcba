"""The base URL of the API, and the limits of its paged lists. The path of a product is in its `Product`."""

DEFAULT_BASE_URL = "https://api-singapore.klingai.com"
COSTS_PATH = "/account/costs"
MAX_PAGE_NUM = 1000
MAX_PAGE_SIZE = 500
DEFAULT_PAGE_SIZE = 30
