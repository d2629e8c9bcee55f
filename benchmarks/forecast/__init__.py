"""Does the forecast of the leaderboard hold on worlds cut out of real competitions?"""
