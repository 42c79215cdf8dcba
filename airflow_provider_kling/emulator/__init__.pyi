from .handle import KlingEmulator as KlingEmulator
from .model import Settings as Settings
