# The public names of this folder; `__init__.py` loads each when it is first used.
from .book import Observation as Observation, Price as Price, PriceBook as PriceBook, observed as observed
from .files import (
    FILE_NAME as FILE_NAME,
    fix_price as fix_price,
    learn_prices as learn_prices,
    price_book_location as price_book_location,
    read_prices as read_prices,
)
from .learning import PriceLearner as PriceLearner
